package certstore

import (
	"errors"
	"fmt"
)

// Failure is why an operation came to nothing, for a program to choose by: as those of
// package pkcs11.
type Failure uint8

// The failures that a caller may see.
const (
	Confused    Failure = iota // Windows or the card reports an error of its own, or answers nonsense
	Removed                    // the card is not in a reader
	WrongPIN                   // the card says that the PIN is wrong
	PINLocked                  // too many were wrong
	PINExpired                 // the card wants a new PIN before anything else
	Cancelled                  // the person closed the dialog
	NoKey                      // the store has no such key
	NoMechanism                // the key, or its provider, can't do that
	BadInput                   // the data was not accepted: wrong padding or length
	Busy                       // another program holds the card
	Hung                       // no answer in time
	Unasked                    // a PIN is needed, and nobody may be asked for one now
)

// Error is why an operation with a key of the store came to nothing.
type Error struct {
	Failure Failure
	Says    string // a sentence or two for a person
	Err     error  // the cause, for a log; never shown
}

// Error returns the sentence and its cause.
func (e *Error) Error() string {
	if e.Err == nil {
		return "certstore: " + e.Says
	}
	return fmt.Sprintf("certstore: %s (%v)", e.Says, e.Err)
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

func fail(f Failure, cause error) *Error {
	return &Error{Failure: f, Err: cause, Says: [...]string{
		Confused:    "The card, or the part of Windows that speaks to it, reports a fault. Take the card out, put it back and try again.",
		Removed:     "The card is not in the reader. Insert it and try again.",
		WrongPIN:    "The PIN of the card is wrong. Too many lock the card. Make sure of the PIN, then try again.",
		PINLocked:   "The PIN of the card is locked. Whoever issued the card can unlock it.",
		PINExpired:  "The card wants a new PIN before it can be used. Set one with the program of its maker.",
		Cancelled:   "The PIN of the card was not entered. Try again when you have it at hand.",
		NoKey:       "Windows does not have this key. If it is on a card, insert the card and try again.",
		NoMechanism: "Windows cannot do this with this key. Choose another key, or another card.",
		BadInput:    "The card did not accept the data. Choose another key, or another card.",
		Busy:        "Another program is using the card. Close it and try again.",
		Hung:        "The card did not answer in time. Take it out, put it back and try again.",
		Unasked:     "The card is waiting for its PIN. Open the message or send it again to enter it.",
	}[f]}
}

// code is an error of Windows: an HRESULT, or a plain number.
type code uint32

func (c code) Error() string { return fmt.Sprintf("error %#x of Windows", uint32(c)) }

// Codes that are told apart elsewhere too.
const (
	invalidParameter    code = 0x57       // ERROR_INVALID_PARAMETER
	nteInvalidParameter code = 0x80090027 // NTE_INVALID_PARAMETER
	nteNotSupported     code = 0x80090029 // NTE_NOT_SUPPORTED
	unsuccessful        code = 0xc0000001 // STATUS_UNSUCCESSFUL
)

// failure is what a code of winerror.h means for us.
func (c code) failure() Failure {
	if c&0xffff0000 == 0x80070000 { // a plain number as HRESULT
		c &= 0xffff
	}
	switch c {
	case 0x8010000c, // SCARD_E_NO_SMARTCARD
		0x80100069,             // SCARD_W_REMOVED_CARD
		0x80100067,             // SCARD_W_UNPOWERED_CARD
		0x8010002e,             // SCARD_E_NO_READERS_AVAILABLE
		0x80100017, 0x80100009, // SCARD_E_READER_UNAVAILABLE, SCARD_E_UNKNOWN_READER
		0x8010001d, 0x8010001e, // SCARD_E_NO_SERVICE, SCARD_E_SERVICE_STOPPED: it runs while there is a reader
		0x80090035, 0x80090030: // NTE_DEVICE_NOT_FOUND, NTE_DEVICE_NOT_READY
		return Removed
	case 0x8010006b, 0x8010002a, // SCARD_W_WRONG_CHV, SCARD_E_INVALID_CHV
		0x80090033, 0x56: // NTE_INCORRECT_PASSWORD, ERROR_INVALID_PASSWORD
		return WrongPIN
	case 0x8010006c: // SCARD_W_CHV_BLOCKED
		return PINLocked
	case 0x80090037: // NTE_PASSWORD_CHANGE_REQUIRED
		return PINExpired
	case 0x8010006e, 0x80100002, // SCARD_W_CANCELLED_BY_USER, SCARD_E_CANCELLED
		0x80090036, 0x4c7: // NTE_USER_CANCELLED, ERROR_CANCELLED
		return Cancelled
	case 0x80090022, 0x8009002e, // NTE_SILENT_CONTEXT, NTE_UI_REQUIRED
		0x8010006f, 0x8010006a: // SCARD_W_CARD_NOT_AUTHENTICATED, SCARD_W_SECURITY_VIOLATION
		return Unasked
	case 0x80090016, 0x80090019, // NTE_BAD_KEYSET, NTE_KEYSET_NOT_DEF
		0x8009000d, 0x80090011, // NTE_NO_KEY, NTE_NOT_FOUND
		0x80090013, 0x8009001e, // NTE_BAD_PROVIDER, NTE_PROV_DLL_NOT_FOUND: the maker's software is gone
		0x8009200b, 0x80092004, // CRYPT_E_NO_KEY_PROPERTY, CRYPT_E_NOT_FOUND
		0x80100030, 0x2: // SCARD_E_NO_KEY_CONTAINER, ERROR_FILE_NOT_FOUND
		return NoKey
	case nteNotSupported, nteInvalidParameter, invalidParameter,
		0x80090008, 0x80090009, 0x8009000a, // NTE_BAD_ALGID, NTE_BAD_FLAGS, NTE_BAD_TYPE
		0x80090010, 0x80100022, 0x32: // NTE_PERM, SCARD_E_UNSUPPORTED_FEATURE, ERROR_NOT_SUPPORTED
		return NoMechanism
	case 0x80090005, 0x80090004, 0x8009002c, // NTE_BAD_DATA, NTE_BAD_LEN, NTE_DECRYPTION_FAILURE
		0x80090028: // NTE_BUFFER_TOO_SMALL
		return BadInput
	case 0x8010000b, 0x80100010, 0x8010000a: // SCARD_E_SHARING_VIOLATION, SCARD_E_NOT_READY, SCARD_E_TIMEOUT
		return Busy
	}
	return Confused
}

// explain makes an [*Error] of an error of Windows.
func explain(err error, a access) error {
	var c code
	if !errors.As(err, &c) {
		return err
	}
	f := c.failure()
	if f == Unasked && a.asked {
		f = Confused // somebody could have been asked, and was not
	}
	return fail(f, err)
}

// wrongPadding tells whether a provider may mean by an error that a padding it checked is
// wrong: CNG's says of that as well that a parameter is.
func wrongPadding(err error) bool {
	var c code
	return errors.As(err, &c) && (c.failure() == BadInput || c == nteInvalidParameter || c == invalidParameter || c == unsuccessful)
}

// lacking tells whether an error means that a provider does not offer the operation.
func lacking(err error) bool {
	var c code
	return errors.As(err, &c) && (c.failure() == NoMechanism || c.failure() == BadInput)
}
