package token_test

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"mixdown/rooms/token"
)

const secret = "fa94dd0f974cf2e293728a526b028271"

// The vendor's plaintext, sealed in both modes with fixed vectors.
const (
	vectorCBC = "04AAAAAGVT/xAAEDAxMjM0NTY3ODlhYmNkZWYAYPDOWcZeMCPxbh1dpHzCTREIwK2oIO5x78Qlcu9iUMPYZNGOlA6LCYUTQGwUgUq+/8Ln5TSnZdwWJ/nXKFuvvrODPsW7KjBXiWK9XfFOi6Xo8AriioVyLhRRReWddk5UmA=="
	vectorGCM = "04AAAAAGVT/xAADDAxMjM0NTY3ODlhYgBrCyp4BFmXo9vH6W67++pmKSYP/GBrslcVz6p0LJgT/ryXLGlZoADGWRoS00F2POo0WiXmYGdqXJPvvWs7ifABuzSC0syXgEuGBOnNkVze83TqsyDmtR91MrDqhZ3EqXIiXFJSO8mayl7vh18B"
)

var (
	created = time.Unix(1700000000, 0).UTC()
	expires = time.Unix(1700003600, 0).UTC()
)

func TestVectors(t *testing.T) {
	want := token.Claims{AppID: 1, UserID: "demo", Login: true, Publish: true, Created: created, Expires: expires, Nonce: 7}
	for name, text := range map[string]string{"CBC": vectorCBC, "GCM": vectorGCM} {
		got, err := token.Parse(secret, 1, text, created)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if _, err := token.Parse(secret, 1, text, expires.Add(-time.Second)); err != nil {
			t.Errorf("%s a second before its expiry: %v", name, err)
		}
		if _, err := token.Parse(secret, 1, text, expires); !errors.Is(err, token.ErrExpired) {
			t.Errorf("%s at its expiry: %v, want ErrExpired", name, err)
		}
		if _, err := token.Parse(secret, 2, text, created); !errors.Is(err, token.ErrForeign) {
			t.Errorf("%s for another app: %v, want ErrForeign", name, err)
		}
		if _, err := token.Parse(strings.Repeat("x", 32), 1, text, created); !errors.Is(err, token.ErrForeign) {
			t.Errorf("%s with another secret: %v, want ErrForeign", name, err)
		}
	}
}

func TestRoundTrip(t *testing.T) {
	base := token.Claims{AppID: 7, UserID: "u", Created: created, Expires: expires, Nonce: -3}
	for name, change := range map[string]func(*token.Claims){
		"basic":         func(c *token.Claims) { c.Login, c.Publish = true, true },
		"nothing":       func(*token.Claims) {},
		"listener":      func(c *token.Claims) { c.Login, c.RoomID = true, "r" },
		"recorder":      func(c *token.Claims) { c.Login, c.Publish, c.Hidden, c.RoomID = true, true, true, "r" },
		"hidden only":   func(c *token.Claims) { c.Login, c.Hidden = true, true },
		"some streams":  func(c *token.Claims) { c.Login, c.Publish, c.StreamIDs = true, true, []string{"a", "b"} },
		"quoted room":   func(c *token.Claims) { c.Login, c.Publish, c.RoomID = true, true, `a"b\c<&>` },
		"one app: max":  func(c *token.Claims) { c.AppID = 1<<32 - 1 },
		"far expiry":    func(c *token.Claims) { c.Expires = time.Unix(1<<40, 0).UTC() },
		"64 byte userr": func(c *token.Claims) { c.UserID = strings.Repeat("u", 64) },
	} {
		t.Run(name, func(t *testing.T) {
			want := base
			change(&want)
			text, err := token.Make(secret, want)
			if err != nil {
				t.Fatal(err)
			}
			got, err := token.Parse(secret, want.AppID, text, created)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got %+v, want %+v", got, want)
			}
		})
	}
}

func TestMakeIsFresh(t *testing.T) {
	c := token.Claims{AppID: 1, UserID: "u", Created: created, Expires: expires}
	a, errA := token.Make(secret, c)
	b, errB := token.Make(secret, c)
	if errA != nil || errB != nil || a == b {
		t.Errorf("two tokens of the same claims: %q (%v) and %q (%v)", a, errA, b, errB)
	}
}

func TestMakeRefuses(t *testing.T) {
	good := token.Claims{AppID: 1, UserID: "u", Created: created, Expires: expires}
	for name, change := range map[string]func(*token.Claims){
		"no app":     func(c *token.Claims) { c.AppID = 0 },
		"no user":    func(c *token.Claims) { c.UserID = "" },
		"long user":  func(c *token.Claims) { c.UserID = strings.Repeat("u", 65) },
		"no time":    func(c *token.Claims) { c.Expires = created },
		"no expiry":  func(c *token.Claims) { c.Expires = time.Time{} },
		"1e5 stream": func(c *token.Claims) { c.StreamIDs = make([]string, 100000) },
	} {
		c := good
		change(&c)
		if _, err := token.Make(secret, c); err == nil {
			t.Errorf("%s: made", name)
		}
	}
	if _, err := token.Make(secret[:31], good); err == nil {
		t.Error("made with a short secret")
	}
	if _, err := token.Parse(secret[:16], 1, vectorGCM, created); err == nil || errors.Is(err, token.ErrForeign) || errors.Is(err, token.ErrFormat) {
		t.Errorf("parsed with a short secret: %v", err)
	}
}

func TestPrivileges(t *testing.T) {
	c := token.Claims{Login: true, RoomID: "a", Publish: true, StreamIDs: []string{"s"}}
	if !c.MayEnter("a") || c.MayEnter("b") || !c.MayPublish("s") || c.MayPublish("t") {
		t.Errorf("%+v grants the wrong things", c)
	}
	c = token.Claims{Login: true, Publish: true}
	if !c.MayEnter("b") || !c.MayPublish("t") {
		t.Errorf("%+v does not grant everything", c)
	}
	if c = (token.Claims{RoomID: "a"}); c.MayEnter("a") || c.MayPublish("s") {
		t.Errorf("%+v grants something", c)
	}
}

// sealCBC makes a token as older makers do, with any plaintext and padding.
func sealCBC(outer int64, padded []byte) string {
	block, _ := aes.NewCipher([]byte(secret))
	iv := []byte("0123456789abcdef")
	sealed := make([]byte, len(padded))
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(sealed, padded)
	b := binary.BigEndian.AppendUint64(nil, uint64(outer))
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(iv))), iv...)
	b = append(binary.BigEndian.AppendUint16(b, uint16(len(sealed))), sealed...)
	return "04" + base64.StdEncoding.EncodeToString(b)
}

func pad(text string) []byte {
	n := aes.BlockSize - len(text)%aes.BlockSize
	return append([]byte(text), strings.Repeat(string(rune(n)), n)...)
}

func plain(app, expire int64, payload string) string {
	return fmt.Sprintf(`{"user_id":"demo","nonce":7,"payload":%q,"ctime":1700000000,"expire":%d,"app_id":%d}`, payload, expire, app)
}

// TestOneErrorForAllDecryptFailures is what keeps CBC tokens from being read by
// trial: every failure after decryption looks the same.
func TestOneErrorForAllDecryptFailures(t *testing.T) {
	end := expires.Unix()
	bad := pad(plain(1, end, ""))
	bad[len(bad)-1] = 0
	tooMuch := pad(plain(1, end, ""))
	tooMuch[len(tooMuch)-1] = 17
	uneven := append([]byte(plain(1, end, "")), 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
	uneven = uneven[:len(uneven)-len(uneven)%16]
	gcm := []byte(vectorGCM)
	gcm[len(gcm)-8] ^= 1
	for name, text := range map[string]string{
		"padding zero":       sealCBC(end, bad),
		"padding 17":         sealCBC(end, tooMuch),
		"padding uneven":     sealCBC(end, uneven),
		"not JSON":           sealCBC(end, pad("hello")),
		"all padding":        sealCBC(end, pad("")),
		"empty object":       sealCBC(end, pad("{}")),
		"other app":          sealCBC(end, pad(plain(2, end, ""))),
		"inner expiry later": sealCBC(end, pad(plain(1, end+1, ""))),
		"outer expiry later": sealCBC(end+1, pad(plain(1, end, ""))),
		"payload not JSON":   sealCBC(end, pad(plain(1, end, "x"))),
		"tampered GCM":       string(gcm),
	} {
		_, err := token.Parse(secret, 1, text, created)
		if err == nil || err.Error() != "parse token: "+token.ErrForeign.Error() || !errors.Is(err, token.ErrForeign) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := token.Parse(secret, 1, sealCBC(end, pad(plain(1, end, ""))), created); err != nil {
		t.Errorf("the untouched token: %v", err)
	}
}

func TestPayloads(t *testing.T) {
	end := expires.Unix()
	for payload, want := range map[string]token.Claims{
		``: {Login: true, Publish: true},
		`{"room_id":"r","privilege":{"1":1,"2":0},"stream_id_list":null}`: {RoomID: "r", Login: true},
		`{"room_id":"","privilege":{"1":1,"2":1},"stream_id_list":["a"]}`: {Login: true, Publish: true, StreamIDs: []string{"a"}},
		`{"room_id":"r","privilege":{"1":0,"2":1},"stream_id_list":[]}`:   {RoomID: "r", Publish: true, StreamIDs: []string{}},
		`{"room_id":"r","privilege":{"1":1,"2":1,"3":1},"more":[1]}`:      {RoomID: "r", Login: true, Publish: true, Hidden: true},
		`{}`:                                  {},
		`{"privilege":{"1":2,"2":-1,"3":17}}`: {},
	} {
		got, err := token.Parse(secret, 1, sealCBC(end, pad(plain(1, end, payload))), created)
		if err != nil {
			t.Errorf("%s: %v", payload, err)
			continue
		}
		want.AppID, want.UserID, want.Nonce, want.Created, want.Expires = 1, "demo", 7, created, expires
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", payload, got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	raw, _ := base64.StdEncoding.DecodeString(vectorGCM[2:])
	again := func(b []byte) string { return "04" + base64.StdEncoding.EncodeToString(b) }
	mode := append([]byte(nil), raw...)
	mode[len(mode)-1] = 2
	asCBC := append([]byte(nil), raw...)
	asCBC[len(asCBC)-1] = 0
	texts := map[string]string{
		"empty": "", "prefix": "04", "other version": "03" + vectorGCM[2:], "no prefix": vectorGCM[2:],
		"not base64": "04!!!!", "line break": vectorGCM[:40] + "\n" + vectorGCM[40:], "unpadded": strings.TrimRight(vectorCBC, "="),
		"mode 2": again(mode), "GCM vector as CBC": again(asCBC), "tail": again(append(append([]byte(nil), raw...), 0)),
		"too long": "04" + strings.Repeat("A", token.MaxTokenLen),
	}
	for i := range len(raw) - 1 {
		texts[fmt.Sprintf("cut to %d bytes", i)] = again(raw[:i])
	}
	for name, text := range texts {
		if _, err := token.Parse(secret, 1, text, created); !errors.Is(err, token.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(vectorCBC)
	f.Add(vectorGCM)
	f.Add("04")
	f.Add(sealCBC(expires.Unix(), pad(plain(1, expires.Unix(), `{"room_id":"r","privilege":{"1":1}}`))))
	f.Add("04AAAAAGVT/xAAEDAxMjM0NTY3ODlhYmNkZWYAAA==")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := token.Parse(secret, 1, text, created)
		known := errors.Is(err, token.ErrFormat) || errors.Is(err, token.ErrForeign) || errors.Is(err, token.ErrExpired)
		if err != nil && !known {
			t.Fatalf("unknown error %v", err)
		}
		if err == nil && (c.AppID != 1 || c.UserID == "" || !created.Before(c.Expires)) {
			t.Fatalf("accepted %+v", c)
		}
	})
}
