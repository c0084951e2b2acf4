package outbox_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/mailer/outbox"
	"countersign/mailer/transport"
	"countersign/vault/sealed"
)

const (
	victimPath = "COUNTERSIGN_OUTBOX_VICTIM" // set: this process is to be killed
	kills      = 12
	letters    = 40
)

func TestMain(m *testing.M) {
	if path := os.Getenv(victimPath); path != "" {
		if err := victim(path); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// victim accepts letters and sends them, telling each step on its output.
func victim(path string) error {
	ctx := context.Background()
	db, err := sealed.Open(path, sealed.Key{1})
	if err != nil {
		return err
	}
	box := &outbox.Box{DB: db, Clock: time.Now}
	box.Again = func(context.Context, []outbox.Envelope) (json.RawMessage, error) { return nil, nil }
	box.Submit = func(_ context.Context, e outbox.Envelope, src sealed.Source) (transport.Result, error) {
		r, err := src.Open()
		if err != nil {
			return transport.Result{}, err
		}
		defer r.Close()
		data, err := io.ReadAll(r)
		fmt.Println("took", strings.TrimSpace(string(data)))
		return transport.Result{Recipients: []transport.Recipient{{Address: e.To[0], State: transport.Sent}}}, err
	}
	if err := box.Open(ctx); err != nil {
		return err
	}
	for n := range letters {
		id := fmt.Sprint("letter", n)
		// What is random here is fixed at the first acceptance, and only then.
		blob, err := db.WriteBlob(ctx, strings.NewReader(fmt.Sprintf("%s/%d\n", id, rand.Uint64())))
		if err != nil {
			return err
		}
		err = db.Update(ctx, func(tx *sql.Tx) error {
			_, err := box.Accept(ctx, tx, outbox.Acceptance{ID: id, Envelopes: []outbox.Envelope{{To: []string{"b@n.example"}, Blob: blob.ID}}})
			return err
		})
		if err != nil {
			return err
		}
		fmt.Println("accepted", id)
		if n%3 == 2 {
			if _, err := box.Round(ctx); err != nil {
				return err
			}
		}
	}
	if _, err := box.Round(ctx); err != nil {
		return err
	}
	fmt.Println("finished")
	return db.Close()
}

func TestKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "db")
	accepted, taken, repeats := map[string]bool{}, map[string]string{}, 0
	for run := range kills + 1 {
		var errors bytes.Buffer
		child := exec.Command(self)
		child.Env, child.Stderr = append(os.Environ(), victimPath+"="+path), &errors
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		fatal := rand.IntN(2 * letters) // after that many lines
		finished := false
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			if n == fatal && run < kills {
				if err := child.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
			word, rest, _ := strings.Cut(lines.Text(), " ")
			switch word {
			case "accepted":
				accepted[rest] = true
			case "took":
				id, _, _ := strings.Cut(rest, "/")
				if before, ok := taken[id]; ok {
					repeats++
					if before != rest {
						t.Errorf("%s was sent again with other bytes", id)
					}
				}
				taken[id] = rest
			case "finished":
				finished = true
			case "error":
				t.Fatal(rest)
			}
		}
		err = child.Wait()
		if run == kills && (err != nil || !finished) {
			t.Fatalf("the last run did not finish: %v %s", err, errors.Bytes())
		}
	}
	for id := range accepted {
		if taken[id] == "" {
			t.Errorf("%s was accepted and never sent", id)
		}
	}
	if len(accepted) != letters || repeats > kills {
		t.Errorf("%d accepted, %d sent twice in %d kills", len(accepted), repeats, kills)
	}
}
