package store

// Problem is an error that a person reads: what is wrong, and what to do next.
// Errors returned wrap the values of this package; compare with errors.Is.
type Problem struct {
	Code string // stable, for programs
	Says string // one sentence
	Next string // one sentence; may be empty
}

func (p *Problem) Error() string { return p.Says }
