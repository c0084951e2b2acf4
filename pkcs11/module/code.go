package module

import (
	"errors"
	"fmt"

	"countersign/pkcs11/wire"
)

// code is what a function of the library returns (CK_RV), if it is not CKR_OK.
type code uint32

func (c code) Error() string {
	if known, ok := codes[c]; ok {
		return known.name
	}
	return fmt.Sprintf("CKR %#x", uint32(c))
}

const (
	generalError      code = 0x5
	functionFailed    code = 0x6
	argumentsBad      code = 0x7
	attributeReadOnly code = 0x10
	attributeType     code = 0x12
	deviceMemory      code = 0x31
	notSupported      code = 0x54
	dataInvalid       code = 0x20
	deviceRemoved     code = 0x32
	mechanismParam    code = 0x71
	alreadyLoggedIn   code = 0x100
	notLoggedIn       code = 0x101
	noEvent           code = 0x8
	alreadyStarted    code = 0x191
	cantLock          code = 0xa
)

// codes says what each code means for the agent. A code that is not here is an error
// of the card's or the library's own. What looks like a removed card is Lost: whether it is
// there is found out by looking, not by believing.
var codes = map[code]struct {
	name    string
	failure wire.Failure
}{
	0x1:             {"CKR_CANCEL", wire.Cancelled},
	0x3:             {"CKR_SLOT_ID_INVALID", wire.Lost},
	generalError:    {"CKR_GENERAL_ERROR", wire.Confused},
	functionFailed:  {"CKR_FUNCTION_FAILED", wire.Confused},
	argumentsBad:    {"CKR_ARGUMENTS_BAD", wire.NoMechanism},
	noEvent:         {"CKR_NO_EVENT", wire.Confused},
	cantLock:        {"CKR_CANT_LOCK", wire.NotLoaded},
	attributeType:   {"CKR_ATTRIBUTE_TYPE_INVALID", wire.NoMechanism},
	dataInvalid:     {"CKR_DATA_INVALID", wire.BadInput},
	0x21:            {"CKR_DATA_LEN_RANGE", wire.BadInput},
	0x30:            {"CKR_DEVICE_ERROR", wire.Confused},
	deviceMemory:    {"CKR_DEVICE_MEMORY", wire.Confused},
	deviceRemoved:   {"CKR_DEVICE_REMOVED", wire.Lost},
	0x40:            {"CKR_ENCRYPTED_DATA_INVALID", wire.BadInput},
	0x41:            {"CKR_ENCRYPTED_DATA_LEN_RANGE", wire.BadInput},
	0x50:            {"CKR_FUNCTION_CANCELED", wire.Cancelled},
	notSupported:    {"CKR_FUNCTION_NOT_SUPPORTED", wire.NoMechanism},
	0x60:            {"CKR_KEY_HANDLE_INVALID", wire.Lost},
	0x62:            {"CKR_KEY_SIZE_RANGE", wire.NoMechanism},
	0x63:            {"CKR_KEY_TYPE_INCONSISTENT", wire.NoMechanism},
	0x68:            {"CKR_KEY_FUNCTION_NOT_PERMITTED", wire.NoMechanism},
	0x70:            {"CKR_MECHANISM_INVALID", wire.NoMechanism},
	mechanismParam:  {"CKR_MECHANISM_PARAM_INVALID", wire.NoMechanism},
	0x82:            {"CKR_OBJECT_HANDLE_INVALID", wire.Lost},
	0x90:            {"CKR_OPERATION_ACTIVE", wire.Lost},
	0x91:            {"CKR_OPERATION_NOT_INITIALIZED", wire.Lost},
	0xa0:            {"CKR_PIN_INCORRECT", wire.WrongPIN},
	0xa1:            {"CKR_PIN_INVALID", wire.WrongPIN},
	0xa2:            {"CKR_PIN_LEN_RANGE", wire.WrongPIN},
	0xa3:            {"CKR_PIN_EXPIRED", wire.PINExpired},
	0xa4:            {"CKR_PIN_LOCKED", wire.PINLocked},
	0xb0:            {"CKR_SESSION_CLOSED", wire.Lost},
	0xb1:            {"CKR_SESSION_COUNT", wire.Busy},
	0xb3:            {"CKR_SESSION_HANDLE_INVALID", wire.Lost},
	0xb8:            {"CKR_SESSION_READ_WRITE_SO_EXISTS", wire.Busy},
	0xe0:            {"CKR_TOKEN_NOT_PRESENT", wire.Lost},
	0xe1:            {"CKR_TOKEN_NOT_RECOGNIZED", wire.Lost},
	alreadyLoggedIn: {"CKR_USER_ALREADY_LOGGED_IN", wire.Busy},
	notLoggedIn:     {"CKR_USER_NOT_LOGGED_IN", wire.NotLoggedIn},
	0x102:           {"CKR_USER_PIN_NOT_INITIALIZED", wire.PINExpired},
	0x104:           {"CKR_USER_ANOTHER_ALREADY_LOGGED_IN", wire.Busy},
	0x105:           {"CKR_USER_TOO_MANY_TYPES", wire.Busy},
	0x130:           {"CKR_DOMAIN_PARAMS_INVALID", wire.NoMechanism},
	0x140:           {"CKR_CURVE_NOT_SUPPORTED", wire.NoMechanism},
	0x150:           {"CKR_BUFFER_TOO_SMALL", wire.Confused},
	0x190:           {"CKR_CRYPTOKI_NOT_INITIALIZED", wire.Confused},
	alreadyStarted:  {"CKR_CRYPTOKI_ALREADY_INITIALIZED", wire.Confused},
	0x200:           {"CKR_FUNCTION_REJECTED", wire.Cancelled},
}

// trouble is a failure of our own finding, or one with more to tell.
type trouble struct {
	failure wire.Failure
	code    code
	says    string
	tries   wire.Tries
}

func (t trouble) Error() string { return t.failure.String() + ": " + t.says }

// failed is the reply that an error becomes.
func failed(r *wire.Request, err error) wire.Reply {
	reply := wire.Reply{ID: r.ID, Op: r.Op, Failure: wire.Confused, Says: wire.Short(err.Error())}
	var (
		own trouble
		c   code
	)
	switch {
	case errors.As(err, &own):
		reply.Failure, reply.Code, reply.Tries = own.failure, uint32(own.code), own.tries
	case errors.As(err, &c):
		reply.Code = uint32(c)
		if known, ok := codes[c]; ok {
			reply.Failure = known.failure
		}
	}
	return reply
}
