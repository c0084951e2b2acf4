package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"countersign/cmd/countersign/plain"
	"countersign/cmd/countersign/terminal"
	"countersign/tray/control"
)

func (c *cli) mailCommand() *cobra.Command {
	return c.group("mail", "Your messages", c.mailFetch(), c.mailList(), c.mailMark(), c.mailRaw(), c.mailSave(), c.mailShow())
}

func (c *cli) mailFetch() *cobra.Command {
	return c.command("fetch", "Ask your mailboxes for new messages", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Mail.Fetch(ctx, control.None{})
		if err := show(c, got, err, func(f control.Fetched) {
			c.say("%s.", plain.Count(f.New, "new message"))
			for _, p := range f.Problems {
				c.para("", p)
			}
		}); err != nil {
			return err
		}
		if len(got.Problems) > 0 {
			return quiet(failed)
		}
		return nil
	})
}

func (c *cli) mailList() *cobra.Command {
	var q control.ListQuery
	cmd := c.command("list", "List messages, newest first", cobra.NoArgs, func(ctx context.Context, s *control.Service, _ []string) error {
		got, err := s.Mail.List(ctx, q)
		return show(c, got, err, func(all []control.Summary) {
			var rows [][]string
			for _, m := range all {
				unread := ""
				if !m.Read {
					unread = "new"
				}
				who := nameOr(m.FromName, m.From)
				if m.Folder == "sent" {
					who = strings.Join(m.To, ", ")
				}
				// The verdict comes before all that a sender chose, which can
				// neither imitate it nor push it away.
				rows = append(rows, []string{m.ID, unread, plain.Moment(m.Received), shape(m.Verdict.Level) + " " + m.Verdict.Short, who, m.Subject})
			}
			c.table(rows...)
		})
	})
	f := cmd.Flags()
	f.StringVar(&q.Folder, "folder", "inbox", "`inbox or sent`")
	f.StringVar(&q.Search, "search", "", "only messages with this `text`")
	f.IntVar(&q.Limit, "limit", 50, "at most this `many`, up to 500")
	f.StringVar(&q.Before, "before", "", "only messages older than this `one`")
	complete(cmd, "folder", "inbox", "sent")
	return cmd
}

func nameOr(name, address string) string {
	if name == "" {
		return address
	}
	return name
}

func (c *cli) mailShow() *cobra.Command {
	return c.command("show ID", "Show a message, and what may be said of it", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		got, err := s.Mail.Show(ctx, control.MessageQuery{ID: args[0]})
		return show(c, got, err, c.printMessage)
	})
}

func (c *cli) printMessage(m control.Message) {
	c.printVerdict(m.Verdict)
	c.gap()
	c.fields(
		"From", plain.Person(m.FromName, m.From), "To", strings.Join(m.To, ", "), "Cc", strings.Join(m.Cc, ", "),
		"Date", plain.Moment(m.Date), "Subject", m.Subject, "Not protected", strings.Join(m.Unprotected, ", "),
	)
	c.printFiles(m.Files)
	if m.Problem != "" {
		c.gap()
		c.para("", m.Problem)
	}
	if m.Test != nil {
		c.printIncoming(*m.Test)
	}
	if m.Text != "" {
		c.gap()
		c.quote(m.Text)
	}
	if m.Sanitised {
		c.say("Only the text of this message is shown.")
	}
}

// printVerdict prints what may be said of a message, as the agent says it.
func (c *cli) printVerdict(v control.Verdict) {
	c.say("%s %s", shape(v.Level), v.Label)
	for _, r := range v.Reasons {
		c.para("  ", r)
	}
}

func (c *cli) printFiles(files []control.Attachment) {
	if len(files) == 0 {
		return
	}
	c.say("Files")
	var rows [][]string
	for _, f := range files {
		rows = append(rows, []string{"  " + f.Part, plain.Bytes(f.Size), f.Type, f.Name})
	}
	c.table(rows...)
}

func (c *cli) mailMark() *cobra.Command {
	var unread bool
	cmd := c.command("mark ID...", "Mark messages as read, or as new", cobra.MinimumNArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		for _, id := range args {
			if _, err := s.Mail.MarkRead(ctx, control.ReadMark{ID: id, Read: !unread}); err != nil {
				return err
			}
		}
		return nil
	})
	cmd.Flags().BoolVar(&unread, "new", false, "as new")
	return cmd
}

func (c *cli) mailRaw() *cobra.Command {
	var out string
	cmd := c.command("raw ID", "Write a message as it travelled", cobra.ExactArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		body, err := s.Mail.Raw(ctx, control.MessageQuery{ID: args[0]})
		if err != nil {
			return err
		}
		defer body.Close()
		if out == "-" {
			_, err = io.Copy(c.out, body)
			return err
		}
		return saveTo(out, body)
	})
	cmd.Long = "Write a message as it travelled, encrypted as it is. It goes to standard output, byte for\nbyte, unless --out names a file."
	cmd.Flags().StringVar(&out, "out", "-", "the `file` to write; it must not exist")
	return cmd
}

func (c *cli) mailSave() *cobra.Command {
	var folder string
	cmd := c.command("save ID [PART...]", "Save the files of a message", cobra.MinimumNArgs(1), func(ctx context.Context, s *control.Service, args []string) error {
		parts := args[1:]
		if len(parts) == 0 {
			m, err := s.Mail.Show(ctx, control.MessageQuery{ID: args[0]})
			if err != nil {
				return err
			}
			for _, f := range m.Files {
				parts = append(parts, f.Part)
			}
		}
		saved := []string{}
		for _, part := range parts {
			path, err := saveAttachment(ctx, s, control.AttachmentQuery{ID: args[0], Part: part}, folder)
			if err != nil {
				return err
			}
			saved = append(saved, path)
		}
		return show(c, saved, nil, func(saved []string) {
			if len(saved) == 0 {
				c.say("This message has no files.")
			}
			for _, path := range saved {
				c.say("Saved %s", path)
			}
		})
	})
	cmd.Long = "Save the files of a message, or the parts named, for you alone. What is saved is no longer\nencrypted. A file that is there already is never written over."
	cmd.Flags().StringVar(&folder, "to", ".", "the `folder` to save in")
	return cmd
}

// saveAttachment saves one file under its own name, or the next free one like it.
func saveAttachment(ctx context.Context, s *control.Service, q control.AttachmentQuery, folder string) (string, error) {
	a, body, err := s.Mail.Attachment(ctx, q)
	if err != nil {
		return "", err
	}
	defer body.Close()
	name := fileName(a.Name)
	stem, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
	for n := 2; ; n++ {
		path := filepath.Join(folder, name)
		err := saveTo(path, body)
		if !errors.Is(err, fs.ErrExist) {
			return path, err
		}
		name = stem + " (" + strconv.Itoa(n) + ")" + ext
	}
}

// fileName makes sure once more that a name from outside is a name in the
// folder, with nothing in it that fools who reads it, and the same on every system.
func fileName(name string) string {
	name = strings.Trim(path.Base(terminal.Line(name)), ". ")
	if name == "" || strings.ContainsAny(name, `/\:`) || device.MatchString(name) {
		return "attachment"
	}
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(`<>"|?*`, r) { // no file of Windows has them
			return '_'
		}
		return r
	}, name)
}

// device is a name that Windows takes for a device, in any folder and with any extension.
var device = regexp.MustCompile(`(?i)^(con|prn|aux|nul|conin\$|conout\$|(com|lpt)[0-9¹²³]) *(\.|$)`)

// saveTo writes a new file for this user alone. One that could not be written
// whole is taken away again.
func saveTo(path string, body io.Reader) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, body)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(path)
		return fmt.Errorf("saving %s: %w", filepath.Base(path), err)
	}
	return nil
}
