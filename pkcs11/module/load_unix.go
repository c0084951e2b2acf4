//go:build linux || darwin

package module

import (
	"unsafe"

	"github.com/ebitengine/purego"
)

// native is the layout of this system: CK_ULONG is an unsigned long.
func native() layout {
	const pointer = int(unsafe.Sizeof(uintptr(0)))
	return layout{word: pointer, pointer: pointer}
}

// open loads a library and finds its C_GetFunctionList.
func open(path string) (uintptr, error) {
	handle, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return 0, err
	}
	return purego.Dlsym(handle, "C_GetFunctionList")
}

// jump calls a function of the library.
func jump(function uintptr, args ...uintptr) uintptr {
	result, _, _ := purego.SyscallN(function, args...)
	return result
}
