package certstore

import (
	"errors"
	"fmt"

	"countersign/pkcs11/wire"
)

// code is an error of Windows: an HRESULT, or a plain number.
type code uint32

func (c code) Error() string { return fmt.Sprintf("error %#x of Windows", uint32(c)) }

// Codes that are told apart elsewhere too.
const (
	invalidParameter    code = 0x57       // ERROR_INVALID_PARAMETER
	nteBadData          code = 0x80090005 // NTE_BAD_DATA
	nteBadKeyset        code = 0x80090016 // NTE_BAD_KEYSET
	nteInvalidParameter code = 0x80090027 // NTE_INVALID_PARAMETER
	nteNotSupported     code = 0x80090029 // NTE_NOT_SUPPORTED
	unsuccessful        code = 0xc0000001 // STATUS_UNSUCCESSFUL
)

// failure is what a code of winerror.h means for the agent.
func (c code) failure() wire.Failure {
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
		return wire.Removed
	case 0x8010006b, 0x8010002a, // SCARD_W_WRONG_CHV, SCARD_E_INVALID_CHV
		0x80090033, 0x56: // NTE_INCORRECT_PASSWORD, ERROR_INVALID_PASSWORD
		return wire.WrongPIN
	case 0x8010006c: // SCARD_W_CHV_BLOCKED
		return wire.PINLocked
	case 0x80090037: // NTE_PASSWORD_CHANGE_REQUIRED
		return wire.PINExpired
	case 0x8010006e, 0x80100002, // SCARD_W_CANCELLED_BY_USER, SCARD_E_CANCELLED
		0x80090036, 0x4c7: // NTE_USER_CANCELLED, ERROR_CANCELLED
		return wire.Cancelled
	case 0x80090022, 0x8009002e, // NTE_SILENT_CONTEXT, NTE_UI_REQUIRED
		0x8010006f, 0x8010006a: // SCARD_W_CARD_NOT_AUTHENTICATED, SCARD_W_SECURITY_VIOLATION
		return wire.AsksAlways
	case nteBadKeyset, 0x80090019, // NTE_KEYSET_NOT_DEF
		0x8009000d, 0x80090011, // NTE_NO_KEY, NTE_NOT_FOUND
		0x80090013, 0x8009001e, // NTE_BAD_PROVIDER, NTE_PROV_DLL_NOT_FOUND: the maker's software is gone
		0x8009200b, 0x80092004, // CRYPT_E_NO_KEY_PROPERTY, CRYPT_E_NOT_FOUND
		0x80100030, 0x2: // SCARD_E_NO_KEY_CONTAINER, ERROR_FILE_NOT_FOUND
		return wire.NoKey
	case nteNotSupported, nteInvalidParameter, invalidParameter,
		0x80090008, 0x80090009, 0x8009000a, // NTE_BAD_ALGID, NTE_BAD_FLAGS, NTE_BAD_TYPE
		0x80090010, 0x80100022, 0x32: // NTE_PERM, SCARD_E_UNSUPPORTED_FEATURE, ERROR_NOT_SUPPORTED
		return wire.NoMechanism
	case nteBadData, 0x80090004, 0x8009002c, // NTE_BAD_LEN, NTE_DECRYPTION_FAILURE
		0x80090028: // NTE_BUFFER_TOO_SMALL
		return wire.BadInput
	case 0x8010000b, 0x80100010, 0x8010000a: // SCARD_E_SHARING_VIOLATION, SCARD_E_NOT_READY, SCARD_E_TIMEOUT
		return wire.Busy
	}
	return wire.Confused
}

// failed is the reply that an error becomes.
func failed(r *wire.Request, err error) *wire.Reply {
	reply := &wire.Reply{ID: r.ID, Op: r.Op, Failure: wire.Confused, Says: wire.Short(err.Error())}
	var c code
	if errors.As(err, &c) {
		reply.Code, reply.Failure = uint32(c), c.failure()
	}
	if reply.Failure == wire.AsksAlways && r.Entry == wire.OnPad {
		reply.Failure = wire.Confused // somebody could have been asked, and was not
	}
	return reply
}

// wrongPadding tells whether a provider may mean by an error that a padding it checked is
// wrong: CNG's says of that as well that a parameter is.
func wrongPadding(err error) bool {
	var c code
	return errors.As(err, &c) && (c.failure() == wire.BadInput || c == nteInvalidParameter || c == invalidParameter || c == unsuccessful)
}

// lacking tells whether an error means that a provider does not offer the operation.
func lacking(err error) bool {
	var c code
	return errors.As(err, &c) && (c.failure() == wire.NoMechanism || c.failure() == wire.BadInput)
}
