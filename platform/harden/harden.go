// Package harden keeps the secrets of a process out of core dumps and crash reports, and on
// Linux from other processes of the same user. A program calls [Process] before it takes its
// first secret. On macOS core dumps are forbidden and no more; a program with the rights of
// root or of an administrator reads everything anyway.
//
// It is a package of its own for the sake of the token helper, which is to have no code for
// networks in it, not even Go's.
package harden
