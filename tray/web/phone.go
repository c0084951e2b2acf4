package web

import (
	"io/fs"
	"strings"

	"countersign/tray/control"
)

// phone is the demo's telephone: a panel outside the page's frame, marked as
// simulation. It stands for a real one, so what the colleague says is heard
// there and nowhere else.
type phone struct {
	control.Stage
	Lines []string // what she has said on this call
	Back  string   // the page to return to
}

// phone returns the panel, or nil unless the agent runs as a demo.
func (v *visit) phone() (*phone, error) {
	if v.p.svc.Simulation == nil {
		return nil, nil
	}
	stage, err := v.p.svc.Simulation.Stage(v.ctx(), control.None{})
	if err != nil {
		return nil, err
	}
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	p := &phone{Stage: stage, Back: strings.TrimPrefix(v.r.URL.Path, "/")}
	if p.Back == v.s.callAt {
		p.Lines = v.s.call
	}
	return p, nil
}

func (v *visit) phoneAct() error {
	sim := v.p.svc.Simulation
	if sim == nil {
		return v.nowhere()
	}
	back := v.form("back")
	if !fs.ValidPath(back) || strings.ContainsFunc(back, odd) {
		back = "inbox"
	}
	switch v.path("act") {
	case "dial":
		said, err := sim.Dial(v.ctx(), control.DialOrder{Number: strings.TrimSpace(v.form("number"))})
		if err != nil {
			return v.tell(back, noteOf(err))
		}
		if !said.Answered && len(said.Lines) == 0 {
			said.Lines = []string{"The number rings. Nobody answers."}
		}
		v.hear(back, said.Lines)
	case "hang-up":
		v.hear(back, nil)
	case "play":
		stage, err := sim.Stage(v.ctx(), control.None{})
		if err != nil {
			return v.tell(back, noteOf(err))
		}
		_, err = sim.Play(v.ctx(), control.ActQuery{Name: v.form("name")})
		says := ""
		for _, a := range stage.Acts {
			if a.Name == v.form("name") {
				says = a.Done
			}
		}
		return v.done(back, err, says)
	default:
		return v.nowhere()
	}
	return v.goTo(back)
}

// odd tells what is in none of our paths and might lead a browser elsewhere.
func odd(r rune) bool {
	return !(r == '/' || r == '-' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9')
}

func (v *visit) hear(at string, lines []string) {
	v.s.mu.Lock()
	defer v.s.mu.Unlock()
	v.s.call, v.s.callAt = lines, at
}
