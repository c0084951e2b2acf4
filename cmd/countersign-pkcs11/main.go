// Command countersign-pkcs11 is the token helper: it loads one vendor's PKCS#11 library
// and signs, decrypts and derives for countersign-agent, which starts it, ends it when it
// hangs and starts it again when it crashes. Nobody else has a use for it.
package main

import (
	"os"

	"countersign/pkcs11/module"
)

func main() { os.Exit(module.Main()) }
