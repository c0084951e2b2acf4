package certstore

// Install and RSAKey are for the tests behind the helper.
var (
	Install = install
	RSAKey  = rsaKey
)
