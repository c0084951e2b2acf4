package vault

import (
	"countersign/vault/issued"
	"countersign/vault/phrase"
)

// Problem is an error that a person reads: what is wrong, and what to do next.
// Errors returned wrap the values of vault/issued and those below; compare with
// errors.Is.
type Problem = issued.Problem

// What can be wrong with a PKCS #12 file.
var (
	ErrPassphrase   = issued.ErrPassphrase
	ErrNotPKCS12    = issued.ErrNotPKCS12
	ErrNoPrivateKey = issued.ErrNoPrivateKey
	ErrKeyMismatch  = issued.ErrKeyMismatch
	ErrWeakKey      = issued.ErrWeakKey
	ErrKeyKind      = issued.ErrKeyKind
	ErrNoAddress    = issued.ErrNoAddress
	ErrNotForMail   = issued.ErrNotForMail
)

// What can be wrong with a request for a certificate, and with what comes of it.
var (
	ErrRequested = &Problem{Code: "requested", Says: "A certificate was asked for in this address already.",
		Next: "Install it when it comes, or discard that request first."}
	ErrNoRequest = &Problem{Code: "no-request", Says: "There is no such request.",
		Next: "Look at the list again."}
	ErrOnlyAuthorities = &Problem{Code: "only-authorities", Says: "This file holds certificates of authorities only, not yours.",
		Next: "Choose the file with your own certificate. An authority is added as one that you trust."}
	ErrNothingAsked = &Problem{Code: "nothing-asked", Says: "The key of this certificate is not on this computer, and no request waits.",
		Next: "If you have its key in a file (.p12 or .pfx), import that."}
	ErrOtherKey = &Problem{Code: "other-key", Says: "This certificate was not issued for a key that was made here.",
		Next: "Compare it with the list of what you asked for, and ask your authority for the right one."}
	ErrOnlyCopy = &Problem{Code: "only-copy", Says: "The key for opening mail is on this card alone: if this card dies, this mail is lost.",
		Next: "Confirm that, or have the key made here and backed up before it is put on the card."}
	ErrNotBackedUp = &Problem{Code: "not-backed-up", Says: "This key is not in your recovery file yet.",
		Next: "Make a recovery file first: then the key can go to the card."}
	ErrGivenUp = &Problem{Code: "given-up", Says: "You have said that this key is lost or in other hands.",
		Next: "Ask for a certificate with a new key."}
)

// What can be wrong with the keychain and with recovery.
var (
	ErrLost = &Problem{Code: "keys-lost", Says: "The keychain no longer holds the keys of this profile.",
		Next: "Open your recovery file."}
	ErrNoKey = &Problem{Code: "no-key", Says: "The private key of this certificate is not in the keychain.",
		Next: "Import the certificate with its key again."}
	ErrEdited = &Problem{Code: "edited", Says: "Somebody has edited the list of your certificates.",
		Next: "Restore the database from a copy, or import your certificates again."}
	ErrNoIdentity = &Problem{Code: "no-identity", Says: "There is no such certificate of yours.",
		Next: ""}
	ErrNothingMade = &Problem{Code: "no-recovery", Says: "There is no recovery file waiting to be confirmed.",
		Next: "Make a new one."}
	ErrRecoveryWords = phrase.ErrWords
	ErrRecoveryFile  = phrase.ErrFile
	ErrOtherProfile  = &Problem{Code: "other-profile", Says: "There is another profile in this place already.",
		Next: "Choose an empty folder for the profile to be restored."}
)
