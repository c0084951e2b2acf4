package keyset

// Program is a mail program, and the clicks to say aloud for finding the
// fingerprint of one's own certificate in it.
type Program struct {
	Name  string
	Shows string // which fingerprint it shows
	Steps []string
}

// Programs lists the programs in the order of how common they are.
func Programs() []Program {
	return []Program{
		{"Outlook for Windows", "the SHA-1 thumbprint: read all 40 digits", []string{
			"Click File, then Options, then Trust Center.",
			"Click Trust Center Settings, then Email Security.",
			"Beside Default Setting, click Settings.",
			"Beside Signing Certificate, click Choose, then the words that show the certificate's properties.",
			"Click Details, scroll to the end and click Thumbprint.",
			"Read out all 40 digits.",
			"If the Encryption Certificate below is another one, do the same there.",
		}},
		{"Apple Mail", "SHA-256: read the last 24 digits", []string{
			"Open Keychain Access: press Command and Space, and type its name.",
			"On the left choose login, then My Certificates.",
			"Double-click the certificate with your e-mail address.",
			"Open Details and scroll to Fingerprints at the end.",
			"Read out the last 24 digits of SHA-256.",
			"If there is a second certificate with your address, do the same there.",
		}},
		{"Thunderbird", "SHA-256: read the last 24 digits", []string{
			"Open Account Settings, then End-To-End Encryption.",
			"Under S/MIME, click Manage S/MIME Certificates.",
			"Choose Your Certificates, then the line with your address, and click View.",
			"Scroll to Fingerprints.",
			"Read out the last 24 digits of SHA-256.",
			"If there is a second certificate with your address, do the same there.",
		}},
	}
}
