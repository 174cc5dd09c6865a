// Trusts only X-Gateway-Assertion. Answers every GET with the verified claims, as JSON.
package main

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math/big"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

const (
	leeway   = 5 * time.Second
	keep     = time.Minute
	cooldown = time.Second
)

var (
	issuer   = os.Getenv("ISSUER")   // server.public_url of the gateway
	audience = os.Getenv("AUDIENCE") // this app's name among its upstreams
	jwksURL  = getenv("JWKS_URL", issuer+"/_gateway/jwks.json")
	b64      = base64.RawURLEncoding.Strict()
	client   = http.Client{Timeout: 5 * time.Second}
)

type jwk struct{ Kty, Crv, X, Y, Alg, Kid string }

type claims struct {
	Iss   string   `json:"iss"`
	Sub   string   `json:"sub"`
	Aud   string   `json:"aud"`
	Iat   int64    `json:"iat"`
	Exp   int64    `json:"exp"`
	Email string   `json:"email,omitempty"`
	Roles []string `json:"roles"`
	Sid   string   `json:"sid,omitempty"`
	Htm   string   `json:"htm,omitempty"` // from here on with `bind: request`
	Host  string   `json:"host,omitempty"`
	Path  string   `json:"path,omitempty"`
	Qh    string   `json:"qh,omitempty"`
}

var known struct {
	sync.Mutex
	keys   map[string]jwk
	readAt time.Time
}

// keyOf fetches the key set again when it is old, or when the key is unknown: keys are rotated.
func keyOf(kid string) (jwk, error) {
	known.Lock()
	defer known.Unlock()
	key, found := known.keys[kid]
	if age := time.Since(known.readAt); age > keep || (!found && age > cooldown) {
		answer, err := client.Get(jwksURL)
		if err != nil {
			return jwk{}, err
		}
		defer answer.Body.Close()
		var set struct{ Keys []jwk }
		if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&set); err != nil {
			return jwk{}, err
		}
		known.keys, known.readAt = map[string]jwk{}, time.Now()
		for _, each := range set.Keys {
			known.keys[each.Kid] = each
		}
		key, found = known.keys[kid]
	}
	if !found {
		return jwk{}, errors.New("unknown key")
	}
	return key, nil
}

// isSigned accepts a list of algorithms of its own, and never trusts the header of the token.
func isSigned(key jwk, message string, signature []byte) bool {
	x, err := b64.DecodeString(key.X)
	if err != nil {
		return false
	}
	switch {
	case key.Alg == "EdDSA" && key.Crv == "Ed25519" && len(x) == ed25519.PublicKeySize:
		return ed25519.Verify(x, []byte(message), signature)
	case key.Alg == "ES256" && key.Crv == "P-256" && len(signature) == 64:
		y, err := b64.DecodeString(key.Y)
		if err != nil {
			return false
		}
		public := ecdsa.PublicKey{Curve: elliptic.P256(), X: new(big.Int).SetBytes(x), Y: new(big.Int).SetBytes(y)}
		if !public.Curve.IsOnCurve(public.X, public.Y) {
			return false
		}
		digest := sha256.Sum256([]byte(message))
		r, s := new(big.Int).SetBytes(signature[:32]), new(big.Int).SetBytes(signature[32:])
		return ecdsa.Verify(&public, digest[:], r, s)
	}
	return false
}

func verified(token string) (*claims, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, errors.New("no JWT")
	}
	var head struct{ Alg, Kid string }
	if err := decode(parts[0], &head); err != nil {
		return nil, err
	}
	key, err := keyOf(head.Kid)
	if err != nil {
		return nil, err
	}
	signature, err := b64.DecodeString(parts[2])
	if err != nil || head.Alg != key.Alg || !isSigned(key, parts[0]+"."+parts[1], signature) {
		return nil, errors.New("signature")
	}
	said := &claims{}
	if err := decode(parts[1], said); err != nil {
		return nil, err
	}
	now := time.Now()
	switch {
	case said.Iss != issuer:
		return nil, errors.New("issuer")
	case said.Aud != audience:
		return nil, errors.New("audience")
	case !now.Before(time.Unix(said.Exp, 0).Add(leeway)):
		return nil, errors.New("expired")
	case !now.After(time.Unix(said.Iat, 0).Add(-leeway)):
		return nil, errors.New("issued later")
	case said.Sub == "":
		return nil, errors.New("subject")
	}
	return said, nil
}

// isFor checks, with `bind: request`, that the assertion is for this request and no other.
func isFor(said *claims, request *http.Request) bool {
	path, query, _ := strings.Cut(request.RequestURI, "?")
	digest := sha256.Sum256([]byte(query))
	return said.Htm == "" ||
		said.Htm == request.Method && said.Path == path && said.Qh == b64.EncodeToString(digest[:])
}

func decode(part string, into any) error {
	octets, err := b64.DecodeString(part)
	if err != nil {
		return err
	}
	return json.Unmarshal(octets, into)
}

func getenv(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, request *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		said, err := verified(request.Header.Get("X-Gateway-Assertion"))
		if err == nil && !isFor(said, request) {
			err = errors.New("another request")
		}
		if err != nil { // any error means that no identity is proven
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, "{\"error\":%q}", err.Error())
			return
		}
		json.NewEncoder(w).Encode(said)
	})
	log.Fatal(http.ListenAndServe("127.0.0.1:"+getenv("PORT", "3000"), nil))
}
