package message

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// longestName is in bytes: file systems take 255, and people add to names.
const longestName = 150

// SafeName makes a file name of what a stranger called a file: one that can be
// created in any folder of any system, stays in it, shows its true ending, and
// is not a device. It is never empty.
func SafeName(name string) string {
	name = strings.ToValidUTF8(name, "")
	if i := strings.LastIndexAny(name, `/\`); i >= 0 {
		name = name[i+1:]
	}
	name = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsControl(r), unicode.Is(unicode.Cf, r), unicode.Is(unicode.Co, r), unicode.Is(unicode.Other_Default_Ignorable_Code_Point, r):
			return -1 // also those that reverse the ending
		case unicode.IsSpace(r):
			return ' '
		case strings.ContainsRune(`<>:"|?*`, r):
			return '_'
		}
		return r
	}, name)
	name = strings.Join(strings.Fields(name), " ") // a run of blanks pushes the ending out of sight
	name = shorten(strings.Trim(name, ". "))
	if name == "" {
		return "unnamed"
	}
	if isDevice(name) {
		name = "_" + name
	}
	return name
}

// shorten cuts the stem of a long name and keeps its ending.
func shorten(name string) string {
	if len(name) <= longestName {
		return name
	}
	ending := ""
	if i := strings.LastIndexByte(name, '.'); i > 0 && len(name)-i <= 16 {
		name, ending = name[:i], name[i:]
	}
	name = name[:longestName-len(ending)]
	for !utf8.ValidString(name) {
		name = name[:len(name)-1]
	}
	return strings.TrimRight(name, ". ") + ending
}

// isDevice tells whether Windows takes the name for a device, which it does
// whatever follows the first dot.
func isDevice(name string) bool {
	stem, _, _ := strings.Cut(strings.ToUpper(name), ".")
	stem = strings.TrimRight(stem, " ")
	switch stem {
	case "CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$":
		return true
	}
	port, ok := strings.CutPrefix(stem, "COM")
	if !ok {
		port, ok = strings.CutPrefix(stem, "LPT")
	}
	return ok && utf8.RuneCountInString(port) == 1 && strings.ContainsAny(port, "0123456789¹²³")
}
