package module

import (
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

// native is the layout of this system: a long has 4 bytes, and the PKCS#11 headers
// pack structs to 1.
func native() layout {
	return layout{word: 4, pointer: int(unsafe.Sizeof(uintptr(0))), packed: true}
}

// open loads a library and finds its C_GetFunctionList. What the library itself needs
// is sought beside it and in the system's folder, never in the current one or on PATH.
func open(path string) (uintptr, error) {
	handle, err := windows.LoadLibraryEx(path, 0, windows.LOAD_LIBRARY_SEARCH_DLL_LOAD_DIR|windows.LOAD_LIBRARY_SEARCH_SYSTEM32)
	if err != nil {
		return 0, err
	}
	return windows.GetProcAddress(handle, "C_GetFunctionList")
}

// jump calls a function of the library.
func jump(function uintptr, args ...uintptr) uintptr {
	result, _, _ := syscall.SyscallN(function, args...)
	return result
}
