package algorithm

var (
	WrapKey   = wrapKey
	UnwrapKey = unwrapKey
)
