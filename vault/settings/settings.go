// Package settings holds the two sources of what Countersign may do: the user's
// [Preferences] and the administrator's [Policy] file.
//
// # Preferences
//
// Preferences are stored as JSON in the sealed database and parsed strictly:
// an unknown member, a missing one or a figure out of bounds is an error, never
// a guess.
//
// # The policy file
//
// The file is text: UTF-8, one `name = value` a line, `#` begins a comment line.
// Its first setting is `version = 1`. A name this program does not know, a name
// given twice (except where a list is meant), a value out of bounds or a file over
// 64 KiB makes the whole file ill-formed, and then nothing is sent (SECURITY F2):
// a program that skipped the line it could not read would do what its
// administrator forbade. Where the file lies, and who must own it, is for the
// caller to check.
//
//	version = 1
//	summaries = no                      # no sealed summaries are kept
//	content-keys = no                   # no opened content keys are kept (K1b)
//	private-addresses = no              # no authorities and directories at private addresses are asked
//	require-anchor = yes                # words alone do not make a certificate trusted (V6)
//	silent-authorities = yes            # certificates whose authority names no place to ask whether they were withdrawn will do, unconfirmed too
//	responders-first = yes              # OCSP responders, who learn whose certificate is asked about, are asked before lists are fetched
//	grace-hours = 24                    # the most the user may allow, 0 to 168
//	key-announcements = words           # what a new key needs beside its two signatures: signed, words or call (V7)
//	sha1-before = 2027-01-31            # SHA-1 signatures on what was here before that day count (I2)
//	message-megabytes = 20              # the largest message to send, 1 to 1000
//	revocation-host = crl.clinic.example   # may be asked for a stranger's certificate (I1); may be repeated
//	find-certificates = no              # people's certificates are not looked for in DNS and directories
//	directory = ldaps://ldap.clinic.example   # where they are looked for as well; may be repeated
//	dns-server = 127.0.0.1              # instead of the system's; may be repeated
//	dns-anchor = . IN DS 20326 8 2 E06D...  # instead of the root's keys, to check DNSSEC from; may be repeated (I5)
//	card-software = /usr/lib/softhsm/libsofthsm2.so   # or a folder: of card makers' software only this is loaded; may be repeated (F2)
//	pin-minutes = 0                     # how long a card stays unlocked after its last use, 0 to 480; 15 if not given (K3)
//	lock-with-screen = off              # keys stay when the screen is locked; on: nobody can have it so (K2)
//	dns-validating = yes                # those servers, on this machine, check DNSSEC for us (I5)
//
// What is not named is left to the user. [Policy.Limit] lays the policy over the
// preferences; the administrator's word wins.
//
// The package is pure and promises that what parses is written back to the same
// value, or is refused.
package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// ErrIllFormed is wrapped by every error about a file that does not say what it
// should. While the policy file is ill-formed nothing is sent.
var ErrIllFormed = errors.New("settings: ill-formed")

// Bounds of what the user can set.
const (
	minFetchMinutes = 1
	maxFetchMinutes = 60
	maxGraceHours   = 168
)

// maxPreferences bounds the stored preferences, in bytes.
const maxPreferences = 4 << 10

// Preferences is the few things the user can set.
type Preferences struct {
	FetchMinutes  int  `json:"fetch_minutes"`  // minutes between looking for mail, 1 to 60
	AllowPrivate  bool `json:"allow_private"`  // authorities and directories at private addresses (a clinic's own)
	GraceHours    int  `json:"grace_hours"`    // hours past a revocation list's nextUpdate, 0 to 168
	KeepSummaries bool `json:"keep_summaries"` // sealed summaries so that the inbox opens at once
	// Directories are where certificates are looked for as well, with spaces between:
	// ldaps://host or ldap://host, 8 at most.
	Directories string `json:"directories"`
	// LockWithScreen drops keys and sessions when the screen is locked or the computer
	// sleeps (K2). Preferences that were stored before there was a choice have it.
	LockWithScreen bool `json:"lock_with_screen"`
}

// Default returns the preferences of a new profile.
func Default() Preferences {
	return Preferences{FetchMinutes: 5, GraceHours: 24, KeepSummaries: true, LockWithScreen: true}
}

// Check tells in plain words what is out of bounds, or nil.
func (p Preferences) Check() error {
	switch {
	case p.FetchMinutes < minFetchMinutes || p.FetchMinutes > maxFetchMinutes:
		return fmt.Errorf("%w: mail can be fetched every %d to %d minutes", ErrIllFormed, minFetchMinutes, maxFetchMinutes)
	case p.GraceHours < 0 || p.GraceHours > maxGraceHours:
		return fmt.Errorf("%w: the grace time is 0 to %d hours", ErrIllFormed, maxGraceHours)
	}
	if len(p.Directories) > maxPreferences/2 {
		return fmt.Errorf("%w: directories: over %d bytes", ErrIllFormed, maxPreferences/2)
	}
	l := list{most: maxDirectories, into: new([]string), check: checkDirectory}
	for _, d := range strings.Fields(p.Directories) {
		if err := l.add(d); err != nil {
			return fmt.Errorf("%w: directories: %w", ErrIllFormed, err)
		}
	}
	return nil
}

// Marshal returns the stored form of p.
func (p Preferences) Marshal() ([]byte, error) {
	if err := p.Check(); err != nil {
		return nil, err
	}
	return json.Marshal(p)
}

// ParsePreferences reads what Marshal wrote, and nothing else.
func ParsePreferences(data []byte) (Preferences, error) {
	if len(data) > maxPreferences {
		return Preferences{}, fmt.Errorf("%w: preferences over %d bytes", ErrIllFormed, maxPreferences)
	}
	// Pointers tell a missing member from a zero one.
	var in struct {
		FetchMinutes   *int   `json:"fetch_minutes"`
		AllowPrivate   *bool  `json:"allow_private"`
		GraceHours     *int   `json:"grace_hours"`
		KeepSummaries  *bool  `json:"keep_summaries"`
		Directories    string `json:"directories"` // profiles of before it have none
		LockWithScreen *bool  `json:"lock_with_screen"`
	}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return Preferences{}, fmt.Errorf("%w: reading preferences: %w", ErrIllFormed, err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return Preferences{}, fmt.Errorf("%w: preferences are followed by something else", ErrIllFormed)
	}
	if in.FetchMinutes == nil || in.AllowPrivate == nil || in.GraceHours == nil || in.KeepSummaries == nil {
		return Preferences{}, fmt.Errorf("%w: preferences are incomplete", ErrIllFormed)
	}
	p := Preferences{*in.FetchMinutes, *in.AllowPrivate, *in.GraceHours, *in.KeepSummaries, in.Directories, true}
	if in.LockWithScreen != nil {
		p.LockWithScreen = *in.LockWithScreen
	}
	return p, p.Check()
}
