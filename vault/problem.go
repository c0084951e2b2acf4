package vault

// Problem is an error that a person reads: what is wrong, and what to do next.
// Errors returned wrap the values below; compare with errors.Is.
type Problem struct {
	Code string // stable, for programs
	Says string // one sentence
	Next string // one sentence; may be empty
}

func (p *Problem) Error() string { return "vault: " + p.Code + ": " + p.Says }

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

// What can be wrong with a request for a certificate, and with what comes of it.
var (
	ErrRequested = &Problem{"requested", "A certificate was asked for in this address already.",
		"Install it when it comes, or discard that request first."}
	ErrNoRequest      = &Problem{"no-request", "There is no such request.", "Look at the list again."}
	ErrNotCertificate = &Problem{"not-a-certificate", "There is no certificate in this file that can be read here.",
		"Choose the file that your authority sent, often .cer, .crt, .pem or .p7b."}
	ErrOnlyAuthorities = &Problem{"only-authorities", "This file holds certificates of authorities only, not yours.",
		"Choose the file with your own certificate. An authority is added as one that you trust."}
	ErrNothingAsked = &Problem{"nothing-asked", "The key of this certificate is not on this computer, and no request waits.",
		"If you have its key in a file (.p12 or .pfx), import that."}
	ErrOtherKey = &Problem{"other-key", "This certificate was not issued for a key that was made here.",
		"Compare it with the list of what you asked for, and ask your authority for the right one."}
	ErrGivenUp = &Problem{"given-up", "You have said that this key is lost or in other hands.",
		"Ask for a certificate with a new key."}
)

// What can be wrong with the keychain and with recovery.
var (
	ErrLost = &Problem{"keys-lost", "The keychain no longer holds the keys of this profile.",
		"Open your recovery file."}
	ErrNoKey = &Problem{"no-key", "The private key of this certificate is not in the keychain.",
		"Import the certificate with its key again."}
	ErrEdited = &Problem{"edited", "Somebody has edited the list of your certificates.",
		"Restore the database from a copy, or import your certificates again."}
	ErrNoIdentity  = &Problem{"no-identity", "There is no such certificate of yours.", ""}
	ErrNothingMade = &Problem{"no-recovery", "There is no recovery file waiting to be confirmed.",
		"Make a new one."}
	ErrRecoveryWords = &Problem{"wrong-words", "Those are not the words that were asked for.",
		"Look at the printed words and try again."}
	ErrRecoveryFile = &Problem{"not-recovery", "This is not a recovery file, or it is damaged.",
		"Choose the file that you saved when you made the words."}
	ErrOtherProfile = &Problem{"other-profile", "There is another profile in this place already.",
		"Choose an empty folder for the profile to be restored."}
)
