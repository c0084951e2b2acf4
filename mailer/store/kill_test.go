package store_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"countersign/mailer/store"
	"countersign/vault/sealed"
)

const (
	victimPath = "COUNTERSIGN_STORE_VICTIM" // set: this process is to be killed
	kills      = 10
	letters    = 60
	together   = 6 // are filed at once
)

func TestMain(m *testing.M) {
	if path := os.Getenv(victimPath); path != "" {
		if err := victim(context.Background(), path); err != nil {
			fmt.Println("error", err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// again opens the messages of a database whose record key is always the same.
func again(path string) (store.Mail, error) {
	db, err := sealed.Open(path, sealed.Key{1})
	if err != nil {
		return store.Mail{}, err
	}
	m := store.New(db, signer{ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize))})
	return m, m.Migrate()
}

func opened(id string) [32]byte { return sha256.Sum256([]byte("opened " + id)) }

// victim files what waits, some at once, and tells each step on its output.
func victim(ctx context.Context, path string) error {
	m, err := again(path)
	if err != nil {
		return err
	}
	list, err := m.Waiting(ctx)
	if err != nil {
		return err
	}
	rows := m.Ahead(list, func() time.Time { return received })
	for n, id := range list {
		r, err := rows.Get(ctx, id)
		if err != nil {
			return err
		}
		r.Digest, r.Key, r.Line = opened(id), []byte("key of "+id), store.Line{Peer: "bea@x.example", Summary: []byte(id), Search: id}
		m.Later(&store.Filed{Arrival: store.Arrival{Message: r, Form: "form of " + id}})
		if n%together == together-1 || n == len(list)-1 {
			fmt.Println("begun")
			m.Flush(ctx)
			fmt.Println("filed", strings.Join(list[n-n%together:n+1], " "))
		}
	}
	fmt.Println("finished")
	return m.DB.Close()
}

// checkFiled checks that each message waits as it came, or is filed with all that belongs to it,
// and that those are which were said to be. It returns how many are.
func checkFiled(t *testing.T, path string, said map[string]bool) (filed int) {
	t.Helper()
	m, err := again(path)
	if err != nil {
		t.Fatal(err)
	}
	defer m.DB.Close()
	if err := m.DB.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for n := range letters {
		id := fmt.Sprint("letter", n)
		r, err := m.Get(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		digest, known, err := m.Form(t.Context(), "form of "+id)
		if err != nil || !r.Proved || !r.Received.Equal(received) {
			t.Errorf("%s: its receipt is another: %v", id, err)
		}
		if r.Waits {
			if said[id] || known || r.Key != nil || r.Summary != nil || r.Digest != sha256.Sum256([]byte(id)) {
				t.Errorf("%s waits, but not as it came", id)
			}
		} else {
			filed++
			if !known || digest != opened(id) || string(r.Key) != "key of "+id || string(r.Summary) != id || r.Digest != opened(id) || r.Search != id {
				t.Errorf("%s is filed, but not wholly", id)
			}
		}
		src, err := m.DB.Source(r.Blob).Open()
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(src); err != nil || string(text) != id {
			t.Errorf("%s: it is lost: %q, %v", id, text, err)
		}
	}
	return filed
}

// TestKilled: the program dies while what waited is filed.
func TestKilled(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "db")
	m, err := again(path)
	if err != nil {
		t.Fatal(err)
	}
	for n := range letters {
		err := arrive(t, m, fmt.Sprint("letter", n), func(a *store.Arrival) { a.Key, a.Line = nil, store.Line{Waits: true} })
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := m.DB.Close(); err != nil {
		t.Fatal(err)
	}
	said := map[string]bool{}
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
		fatal := rand.IntN(4) // after that many lines
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
			case "filed":
				for _, id := range strings.Fields(rest) {
					said[id] = true
				}
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
		if filed := checkFiled(t, path, said); run == kills && filed != letters {
			t.Errorf("%d are filed in the end", filed)
		}
	}
}
