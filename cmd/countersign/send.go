package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"countersign/tray/control"
)

// maxText is what the text of a message may hold, in bytes.
const maxText = 512 << 10

// letter is a message as the flags of send and draft add describe it.
type letter struct {
	draft    control.Draft
	textFile string
	files    []string
}

func (l *letter) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&l.draft.To, "to", nil, "the `addresses` of who it is for")
	f.StringSliceVar(&l.draft.Cc, "cc", nil, "the `addresses` of who gets a copy")
	f.StringSliceVar(&l.draft.Bcc, "bcc", nil, "the `addresses` of who gets a copy that the others do not know of")
	f.StringVar(&l.draft.Subject, "subject", "", "the `subject`; it is encrypted too")
	f.StringVar(&l.draft.InReplyTo, "reply", "", "the `message` that this one answers")
	f.StringVar(&l.textFile, "text", "-", "the `file` with the text; standard input unless given")
	f.StringArrayVar(&l.files, "attach", nil, "a `file` to go with it")
}

// write stores the letter as a draft with its files.
func (l *letter) write(ctx context.Context, c *cli, s *control.Service) (control.Draft, error) {
	if len(l.draft.To)+len(l.draft.Cc)+len(l.draft.Bcc) == 0 {
		return l.draft, usage("whom is it for? Use --to")
	}
	text, err := c.text(l.textFile)
	if err != nil {
		return l.draft, err
	}
	l.draft.ID, l.draft.Text = control.NewID(), text
	stored, err := s.Mail.SaveDraft(ctx, l.draft)
	if err != nil {
		return stored, err
	}
	for _, name := range l.files {
		file, err := attach(ctx, s, stored.ID, name)
		if err != nil {
			_, gone := s.Mail.DiscardDraft(ctx, control.DraftQuery{ID: stored.ID})
			return stored, errors.Join(err, gone)
		}
		stored.Files = append(stored.Files, file)
	}
	return stored, nil
}

func (c *cli) text(name string) (string, error) {
	if name == "-" && c.ask != nil {
		c.remark("Write the message. Ctrl-D on a line of its own ends it.")
	}
	f, err := c.open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxText+1))
	if err != nil {
		return "", fmt.Errorf("reading the text: %w", err)
	}
	if len(data) > maxText {
		return "", fmt.Errorf("the text is longer than %d bytes: attach it instead", maxText)
	}
	return strings.ToValidUTF8(string(data), "\ufffd"), nil
}

func attach(ctx context.Context, s *control.Service, draft, name string) (control.Attachment, error) {
	f, err := os.Open(name)
	if err != nil {
		return control.Attachment{}, err
	}
	defer f.Close()
	kind := mime.TypeByExtension(filepath.Ext(name))
	if kind == "" {
		kind = "application/octet-stream"
	}
	return s.Mail.Attach(ctx, control.AttachOrder{Draft: draft, Name: filepath.Base(name), Type: kind}, f)
}

func (c *cli) sendCommand() *cobra.Command {
	var l letter
	cmd := c.command("send", "Send a message, signed and encrypted", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		draft, err := l.write(ctx, c, s)
		if err != nil {
			return err
		}
		c.kept = "It stays as a draft. When that is settled: countersign draft send " + draft.ID
		sent, err := s.Mail.Send(ctx, control.DraftQuery{ID: draft.ID})
		return show(c, sent, err, c.printSent)
	})
	cmd.Long = `Send a message, signed and encrypted, to people whom you have confirmed. If it may not go
to one of them it goes to nobody, and stays as a draft.`
	cmd.Example = `  countersign send --to bea@clinic.example --subject "Results" < letter.txt
  countersign send --to bea@clinic.example --cc imran@clinic.example --text letter.txt --attach scan.pdf`
	l.flags(cmd)
	return cmd
}

func (c *cli) printSent(s control.Sent) {
	if s.Again {
		c.say("It had been sent already, to %s.", strings.Join(s.To, ", "))
		return
	}
	c.say("✓ Accepted, signed and encrypted, for %s.", strings.Join(s.To, ", "))
}
