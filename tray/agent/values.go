package agent

import (
	"encoding/json"
	"fmt"

	"countersign/mailer"
	"countersign/mailer/message"
	"countersign/mailer/outbox"
	"countersign/mailer/policy"
	"countersign/tray/control"
)

// The rooms have values of their own, so that none depends on what faces want;
// here they become control's.

func verdict(v policy.Verdict) control.Verdict {
	return control.Verdict{
		Protection: v.Protection, Signature: v.Signature, Signer: v.Signer, Chain: v.Chain, From: v.From, Contact: v.Contact,
		Level: string(v.Level), Label: v.Label, Short: v.Short, Reasons: v.Reasons,
	}
}

func refusal(r policy.Refusal) control.Refusal { return control.Refusal(r) }

func refusals(list []policy.Refusal) []control.Refusal { return each(list, refusal) }

// each converts a list; it is never nil, so that it is [] in JSON.
func each[A, B any](list []A, f func(A) B) []B {
	out := make([]B, 0, len(list))
	for _, v := range list {
		out = append(out, f(v))
	}
	return out
}

func summary(s mailer.Summary) control.Summary {
	return control.Summary{
		ID: s.ID, Folder: s.Folder, From: s.From, FromName: s.FromName, To: s.To, Subject: s.Subject, Snippet: s.Snippet,
		Date: s.Date, Received: s.Received, Read: s.Read, Attachments: s.Attachments, Form: s.Form, Verdict: verdict(s.Verdict), Locked: s.Locked,
	}
}

func attachment(a mailer.Attachment) control.Attachment {
	return control.Attachment{Part: a.Part, Name: a.Name, Type: a.Type, Size: a.Size}
}

// layer has no list that is nil, so that each is [] in JSON.
func layer(l mailer.Layer) control.Layer {
	l.Algorithms, l.People = append([]string{}, l.Algorithms...), append([]string{}, l.People...)
	return control.Layer(l)
}

func field(f message.Field) control.Field { return control.Field{Name: f.Name, Value: f.Value} }

func incoming(i *mailer.Incoming) *control.Incoming {
	if i == nil {
		return nil
	}
	v := control.Incoming(*i)
	return &v
}

func shown(m mailer.Message) control.Message {
	v := control.Message{
		Summary: summary(m.Summary), Cc: m.Cc, MessageID: m.MessageID, Text: m.Text, Sanitised: m.Sanitised,
		Files: each(m.Files, attachment), Problem: m.Problem, Unprotected: m.Unprotected, Test: incoming(m.Test),
		ReplyDenied: m.ReplyDenied, Layers: each(m.Layers, layer),
	}
	if m.Waits != nil {
		v.Waits, v.Next = m.Waits.Code, m.Waits.Next
	}
	return v
}

func recipient(r mailer.RecipientState) control.RecipientState {
	v := control.RecipientState{Address: r.Address, Name: r.Name, OK: r.OK, Label: r.Label}
	if r.Refusal != nil {
		why := refusal(*r.Refusal)
		v.Refusal = &why
	}
	return v
}

func draft(d mailer.Draft) control.Draft {
	return control.Draft{
		ID: d.ID, To: d.To, Cc: d.Cc, Bcc: d.Bcc, Subject: d.Subject, Text: d.Text, InReplyTo: d.InReplyTo,
		Files: each(d.Files, draftFile), Saved: d.Saved,
	}
}

func draftFile(f mailer.File) control.Attachment {
	return control.Attachment{Part: f.Part, Name: f.Name, Type: f.Type, Size: f.Size}
}

func outgoing(m outbox.Message) (control.Outgoing, error) {
	v := control.Outgoing{
		ID: m.ID, MessageID: m.MessageID, Subject: m.Subject, Form: m.Form, Accepted: m.Accepted, State: string(m.State),
		Attempts: m.Attempts, Next: m.Next, Problem: m.Problem,
		Recipient: each(m.Deliveries, func(d outbox.Delivery) control.Delivery {
			return control.Delivery{Address: d.Address, State: string(d.State), At: d.At, Problem: d.Problem}
		}),
	}
	if len(m.Refusals) > 0 {
		var why []policy.Refusal
		if err := json.Unmarshal(m.Refusals, &why); err != nil {
			return v, fmt.Errorf("reading why a message is held: %w", err)
		}
		v.Refusals = refusals(why)
	}
	return v, nil
}
