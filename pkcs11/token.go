package pkcs11

import (
	"context"
	"crypto"
	"crypto/x509"
	"slices"

	"countersign/pkcs11/form"
	"countersign/pkcs11/wire"
)

// Name is what a token is recognised by.
type Name = wire.Name

// Token is a token in a reader.
type Token = wire.Token

// Tokens lists what is in the readers. It asks for no PIN.
func (l *Library) Tokens(ctx context.Context) ([]Token, error) {
	reply, err := l.look(ctx, wire.Request{Op: wire.Tokens})
	if err != nil {
		return nil, err
	}
	return reply.Tokens, nil
}

// look asks for something that needs no PIN, again where the helper died, the session was
// lost, or the library is confused, as after a restart of the system's card service.
func (l *Library) look(ctx context.Context, r wire.Request) (*wire.Reply, error) {
	var last error
	for range maxLost {
		h, err := l.running(ctx)
		var reply *wire.Reply
		if err == nil {
			reply, err = h.ask(ctx, &r, l.config.Timeout)
		}
		switch {
		case is(err, Crashed):
			last = err
		case err != nil:
			return nil, err
		case reply.Failure == wire.None:
			return reply, nil
		default:
			last = told(reply, r.Token.Label)
			if reply.Failure == wire.Confused {
				h.end()
			} else if reply.Failure != wire.Lost {
				return nil, last
			}
		}
	}
	return nil, last
}

// token lists tokens and picks one.
func (h *helper) token(ctx context.Context, name Name, l *Library) (Token, error) {
	reply, err := h.ask(ctx, &wire.Request{Op: wire.Tokens}, l.config.Timeout)
	if err != nil {
		return Token{}, err
	}
	if reply.Failure != wire.None {
		return Token{}, told(reply, name.Label)
	}
	return pick(reply.Tokens, name)
}

// Authorities lists the certificates of authorities on a token, which go with those of its
// keys. It asks for no PIN.
func (l *Library) Authorities(ctx context.Context, token Name) ([]*x509.Certificate, error) {
	reply, err := l.look(ctx, wire.Request{Op: wire.Objects, Token: token})
	if err != nil {
		return nil, err
	}
	var all []*x509.Certificate
	for _, o := range reply.Objects {
		if cert, err := x509.ParseCertificate(o.Value); o.Class == wire.Certificate && err == nil && cert.IsCA {
			all = append(all, cert)
		}
	}
	return all, nil
}

// Keys lists the keys of a token, those with a certificate first: without a PIN as far
// as the token shows them. A certificate of an authority without a key is left out; another
// one counts as a key, because many tokens hide private keys until somebody logs in, and
// then [Key.Seen] is false. more says that the token holds more than is listed.
func (l *Library) Keys(ctx context.Context, token Name) (keys []*Key, more bool, err error) {
	reply, err := l.look(ctx, wire.Request{Op: wire.Objects, Token: token})
	if err != nil {
		return nil, false, err
	}
	for _, k := range pair(reply.Objects) {
		k.token, k.library = token, l
		keys = append(keys, k)
	}
	return keys, reply.More, nil
}

// pair puts certificates, public and private keys together.
func pair(all []wire.Object) []*Key {
	var keys []*Key
	for _, o := range all {
		if o.Class != wire.Certificate {
			continue
		}
		cert, err := x509.ParseCertificate(o.Value)
		if err != nil || form.Kind(cert.PublicKey) == 0 || len(o.ID) == 0 && o.Label == "" {
			continue
		}
		k := &Key{ID: o.ID, Label: o.Label, Certificate: cert, public: cert.PublicKey}
		at := slices.IndexFunc(all, func(p wire.Object) bool { return p.Class == wire.PrivateKey && belongs(p, k) })
		if at >= 0 {
			k.Seen, k.Always = true, all[at].Always
			if len(k.ID) == 0 {
				k.ID, k.Label = all[at].ID, all[at].Label
			}
		}
		if k.Seen || !cert.IsCA {
			keys = append(keys, k)
		}
	}
	for _, o := range all {
		if o.Class != wire.PrivateKey || len(o.ID) == 0 && o.Label == "" ||
			slices.ContainsFunc(keys, func(k *Key) bool { return belongs(o, k) }) {
			continue
		}
		public := form.Public(o)
		for _, p := range all {
			if public == nil && p.Class == wire.PublicKey && p.Kind == o.Kind && slices.Equal(p.ID, o.ID) && (len(o.ID) > 0 || p.Label == o.Label) {
				public = form.Public(p)
			}
		}
		if public != nil {
			keys = append(keys, &Key{ID: o.ID, Label: o.Label, Seen: true, Always: o.Always, public: public})
		}
	}
	return keys
}

// belongs tells whether a private key is that of a certificate: the same CKA_ID and
// kind, or where the token shows so much of it, the same public key.
func belongs(o wire.Object, k *Key) bool {
	if o.Kind != form.Kind(k.public) {
		return false
	}
	if public, ok := form.Public(o).(interface{ Equal(crypto.PublicKey) bool }); ok {
		return public.Equal(k.public)
	}
	if len(o.ID) == 0 && len(k.ID) == 0 {
		return o.Label == k.Label
	}
	return slices.Equal(o.ID, k.ID)
}

// offered is what a token can do. It is asked once.
func (l *Library) offered(ctx context.Context, name Name) (wire.Set, error) {
	t := l.line(name)
	t.mu.Lock()
	offers, known := t.offers, t.known
	t.mu.Unlock()
	if known {
		return offers, nil
	}
	token, err := l.find(ctx, name)
	if err != nil {
		return 0, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.offers, t.known = token.Offers, true
	return t.offers, nil
}

// find returns the token of that name, as it is now.
func (l *Library) find(ctx context.Context, name Name) (Token, error) {
	all, err := l.Tokens(ctx)
	if err != nil {
		return Token{}, err
	}
	return pick(all, name)
}

func pick(all []Token, name Name) (Token, error) {
	for _, t := range all {
		if t.Name == name {
			return t, nil
		}
	}
	return Token{}, fail(wire.Removed, name.Label, nil)
}
