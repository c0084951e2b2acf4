package policy

import (
	"countersign/vault/contacts"
	"countersign/vault/trust"
)

// Written is the verdict on the sender's own copy of a letter, which stands in the
// outbox as the word says: waiting, sending, sent, held, failed or withdrawn.
func Written(stands string) Verdict {
	v := Verdict{
		Protection: "encrypted-and-signed", Signature: "valid", Chain: string(trust.Trusted), From: "match",
		Contact: string(contacts.Unknown), Level: Good, Label: writtenLabel, Short: "Sent, encrypted and signed", Reasons: []string{},
	}
	switch stands {
	case "waiting", "sending":
		v.Short = "Waiting to be sent"
	case "held":
		v.Level, v.Short, v.Label = Care, "Held back", writtenLabel+" It is held back: the outbox says why."
	case "failed":
		v.Level, v.Short, v.Label = Care, "Not sent to everyone", writtenLabel+" It could not be sent to everyone: the outbox says why."
	case "withdrawn":
		v.Level, v.Short, v.Label = Care, "Taken back", writtenLabel+" Then you took it back."
	}
	return v
}
