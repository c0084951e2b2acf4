package wire

// Failure is why an operation came to nothing: a closed enumeration. Those after
// [Malformed] are the agent's own findings about the helper and never travel.
type Failure uint8

const (
	None           Failure = iota
	NotLoaded              // the library can't be loaded or does not start
	Removed                // the token is not in a reader, or another is in its place
	NotLoggedIn            // the key needs a PIN first
	AsksAlways             // each use of this key needs a PIN, and none came with the request
	WrongPIN               // the token says that the PIN is wrong
	PINLocked              // too many were wrong
	PINExpired             // the token wants a new PIN, or its first, before anything else
	LastTry                // a kept PIN was not used, because one try is left
	Cancelled              // at the reader's PIN pad
	NoKey                  // the token has no such private key
	NoMechanism            // the token, or this key, can't do that
	BadInput               // the token did not accept the data: wrong padding or length
	Lost                   // the session with the token ended: log in and ask again
	Busy                   // another program holds the token, or it has no room for a session
	Confused               // the card or its library reports an error of its own, or answers nonsense
	NoSpace                // the token is full
	ReadOnly               // nothing can be put on the token
	NeedsMaker             // the token lets only the program of its maker do that
	HasCertificate         // a key that has one is not deleted
	Malformed              // the request was not understood
	Crashed                // the helper died
	Hung                   // the helper gave no answer in time and was ended
	Unasked                // a PIN is needed, and nobody may be asked for one now
	lastSent       = Malformed
)

func (f Failure) String() string {
	return [...]string{
		None: "no failure", NotLoaded: "library not loaded", Removed: "token removed", NotLoggedIn: "not logged in",
		AsksAlways: "PIN needed for each use", WrongPIN: "wrong PIN", PINLocked: "PIN locked", PINExpired: "PIN expired",
		LastTry: "one try left", Cancelled: "cancelled", NoKey: "no such key", NoMechanism: "mechanism missing",
		BadInput: "input not accepted", Lost: "session lost", Busy: "token busy", Confused: "token confused",
		NoSpace: "token full", ReadOnly: "token read-only", NeedsMaker: "only with the maker's program",
		HasCertificate: "key has a certificate", Malformed: "request not understood", Crashed: "library crashed", Hung: "library hung",
		Unasked: "PIN needed",
	}[min(f, Unasked)]
}
