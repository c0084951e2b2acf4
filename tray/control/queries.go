package control

import "time"

// MaxList is how many of anything are listed at once.
const MaxList = 500

// Queries: the small values that name a thing.
type (
	ListQuery struct {
		Folder string `json:"folder,omitempty"` // inbox when empty
		Search string `json:"search,omitempty"`
		Limit  int    `json:"limit,omitempty"`  // 50 when zero, at most MaxList
		Before string `json:"before,omitempty"` // the ID of the last one had
	}
	MessageQuery struct {
		ID    string `json:"id"`
		Quiet bool   `json:"quiet,omitempty"` // nobody just asked for it, so nobody is asked for a PIN
	}
	AttachmentQuery struct {
		ID   string `json:"id"`
		Part string `json:"part"`
	}
	ReadMark struct {
		ID   string `json:"id"`
		Read bool   `json:"read"`
	}
	CheckQuery struct {
		Addresses []string `json:"addresses"`
	}
	BackupOrder struct {
		Path string `json:"path"` // absolute; there must be no such file
	}
	DraftQuery struct {
		ID string `json:"id"`
	}
	AttachOrder struct {
		Draft string `json:"draft"`
		Name  string `json:"name"`
		Type  string `json:"type"`
	}
	DetachOrder struct {
		Draft string `json:"draft"`
		Part  string `json:"part"`
	}
	OutgoingQuery struct {
		ID string `json:"id"`
	}
	InspectQuery struct {
		At time.Time `json:"at,omitzero"`
	}
	SearchQuery struct {
		Text  string `json:"text,omitempty"`
		Limit int    `json:"limit,omitempty"` // 50 when zero, at most MaxList
	}
	ContactQuery struct {
		Address string `json:"address"`
	}
	NewContact struct {
		Address      string `json:"address"`
		Name         string `json:"name,omitempty"`
		Team         bool   `json:"team,omitempty"`
		Certificates []byte `json:"certificates,omitempty"` // PEM or DER, at most 64 KiB
		Profile      string `json:"profile,omitempty"`      // smime | direct: how letters to them are made; empty: as before
		Organisation string `json:"organisation,omitempty"` // that they belong to; empty: as before
	}
	TestOrder struct {
		Address   string `json:"address"`
		Candidate string `json:"candidate,omitempty"`
	}
	AnchorQuery struct {
		Fingerprint string `json:"fingerprint"`
	}
	AccountQuery struct {
		Address string `json:"address"`
	}
	JournalQuery struct {
		Limit  int   `json:"limit,omitempty"`
		Before int64 `json:"before,omitempty"`
	}
	DialOrder struct {
		Number string `json:"number"`
	}
	ActQuery struct {
		Name string `json:"name"`
	}
)
