package issued

// Problem is an error that a person reads: what is wrong, and what to do next.
// Errors returned wrap the values below; compare with errors.Is.
type Problem struct {
	Code string // stable, for programs
	Says string // one sentence
	Next string // one sentence; may be empty
}

func (p *Problem) Error() string { return "vault: " + p.Code + ": " + p.Says }

// Is says that two problems are of one kind, whatever their words.
func (p *Problem) Is(target error) bool {
	other, ok := target.(*Problem)
	return ok && other.Code == p.Code
}

// What can be wrong with a file that is to be imported.
var (
	ErrPassphrase = &Problem{"wrong-passphrase", "That is not the passphrase of this file.",
		"Type the passphrase that came with the file. Capitals count."}
	ErrNotPKCS12 = &Problem{"not-pkcs12", "This file holds no certificate with its key that can be read here.",
		"Ask whoever issued it for a PKCS #12 file (.p12 or .pfx), made anew."}
	ErrNoPrivateKey = &Problem{"no-private-key", "The file holds a certificate but not its private key.",
		"Export it again, and say yes to exporting the private key."}
	ErrKeyMismatch = &Problem{"key-mismatch", "The private key and the certificate in this file do not belong together.",
		"Ask whoever issued it for a new file."}
	ErrWeakKey = &Problem{"weak-key", "The key in this file is too weak: RSA keys need 2,048 bits or more.",
		"Ask for a new certificate with a stronger key."}
	ErrKeyKind = &Problem{"key-kind", "The key in this file is of a kind that this version cannot use.",
		"Ask for an RSA certificate, or one on the curve P-256."}
	ErrNoAddress = &Problem{"no-address", "The certificate in this file names no e-mail address.",
		"Ask for an e-mail (S/MIME) certificate in your own address."}
	ErrNotForMail = &Problem{"not-for-mail", "The certificate in this file is not meant for e-mail.",
		"Ask for an e-mail (S/MIME) certificate."}
)

// ErrOtherUse says that a renewed certificate does not allow what its key is used for.
var ErrOtherUse = &Problem{"wrong-use", "This certificate may not be used for what its key has been used for.",
	"Ask your authority for one with the uses of the old certificate."}

// ErrNotCertificate says that a file holds no certificate.
var ErrNotCertificate = &Problem{"not-a-certificate", "There is no certificate in this file that can be read here.",
	"Choose the file that your authority sent, often .cer, .crt, .pem or .p7b."}
