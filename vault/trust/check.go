package trust

// Check judges one certificate.
func Check(q Question) Verdict {
	return Verdict{Status: Untrusted, Bound: BoundNone}
}
