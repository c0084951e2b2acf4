//go:build unix

package main

import (
	"bytes"
	"crypto"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"syscall"
	"time"

	"countersign/mailer/message"
	"countersign/mailer/smime"
)

// small writes what a letter of 1 KiB costs within a process that is under way, as a
// multiple of the operations with keys alone that it needs: one with the private
// key and one with the public key.
func (me owner) small(what string) error {
	var sealed bytes.Buffer
	attachment := message.Bytes(make([]byte, kiB))
	if err := me.seal(&sealed, "cbc", attachment); err != nil {
		return err
	}
	digest, secret := sha256.Sum256(nil), make([]byte, 32)
	signature, err := rsa.SignPKCS1v15(nil, me.key, crypto.SHA256, digest[:])
	if err != nil {
		return err
	}
	encrypted, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &me.key.PublicKey, secret, nil)
	if err != nil {
		return err
	}
	keys := func() error {
		if _, err := rsa.SignPKCS1v15(nil, me.key, crypto.SHA256, digest[:]); err != nil {
			return err
		}
		_, err := rsa.EncryptOAEP(sha256.New(), rand.Reader, &me.key.PublicKey, secret, nil)
		return err
	}
	letter := func() error { return me.seal(io.Discard, "cbc", attachment) }
	if what == "open" {
		keys = func() error {
			if _, err := rsa.DecryptOAEP(sha256.New(), nil, me.key, encrypted, nil); err != nil {
				return err
			}
			return rsa.VerifyPKCS1v15(&me.key.PublicKey, crypto.SHA256, digest[:], signature)
		}
		letter = func() error {
			return me.open(message.Bytes(sealed.Bytes()), smime.Options{}, func(r io.Reader) error {
				_, err := io.Copy(io.Discard, r)
				return err
			})
		}
	}
	var ratios []float64
	for range 21 {
		k, err := spent(keys)
		if err != nil {
			return err
		}
		l, err := spent(letter)
		if err != nil {
			return err
		}
		ratios = append(ratios, l.Seconds()/k.Seconds())
	}
	slices.Sort(ratios)
	fmt.Printf("key_ratio=%.2f", ratios[len(ratios)/2])
	return nil
}

// spent is the CPU time of this process for 25 runs of f.
func spent(f func() error) (time.Duration, error) {
	var before, after syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &before); err != nil {
		return 0, err
	}
	for range 25 {
		if err := f(); err != nil {
			return 0, err
		}
	}
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &after); err != nil {
		return 0, err
	}
	return time.Duration(after.Utime.Nano() + after.Stime.Nano() - before.Utime.Nano() - before.Stime.Nano()), nil
}
