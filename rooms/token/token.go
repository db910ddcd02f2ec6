// Package token makes and reads Token04, the login token of ZEGO's rooms: who
// may log in to which room and publish which streams, sealed with the server
// secret that the room service (rooms) and the token's maker share. The room
// service calls Parse for every login, Make serves the API and the command
// line. The package keeps no state and does not decide anything: it says what
// the token grants.
//
// A token is "04" and, in base64, expiry, initialization vector and a sealed
// JSON text. AES-256-CBC (older makers) and AES-256-GCM are read, GCM is
// written. CBC carries no authentication, so everything that goes wrong after
// decryption is one and the same error.
package token

import (
	"crypto/aes"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
)

// What Parse finds wrong with a token.
var (
	// ErrFormat: the text is not a Token04 at all; no key was used yet.
	ErrFormat = errors.New("token is malformed")
	// ErrForeign: it was not made with this secret for this app, or was
	// tampered with.
	ErrForeign = errors.New("token was not made for this service")
	// ErrExpired: it is genuine and its time is over.
	ErrExpired = errors.New("token has expired")
)

// Limits of the fields and of the whole text, in bytes.
const (
	SecretSize  = 32 // ServerSecret, used as the AES-256 key byte for byte
	MaxUserID   = 64
	MaxTokenLen = 32 << 10
)

// Claims is what a token says. An empty RoomID stands for any room, an empty
// StreamIDs for any stream. Hidden is Mixdown's own privilege "3": the login
// is not listed among the users (recorders). Times have whole seconds.
type Claims struct {
	AppID     uint32
	UserID    string
	RoomID    string
	Login     bool
	Publish   bool
	Hidden    bool
	StreamIDs []string
	Created   time.Time
	Expires   time.Time
	Nonce     int32
}

// MayEnter says whether the token lets its user log in to the room.
func (c Claims) MayEnter(roomID string) bool {
	return c.Login && (c.RoomID == "" || c.RoomID == roomID)
}

// MayPublish says whether the token lets its user publish the stream.
func (c Claims) MayPublish(streamID string) bool {
	return c.Publish && (len(c.StreamIDs) == 0 || slices.Contains(c.StreamIDs, streamID))
}

// content is the sealed JSON. Pointers tell a missing field from a zero.
type content struct {
	AppID   *uint32 `json:"app_id"`
	UserID  *string `json:"user_id"`
	Nonce   *int32  `json:"nonce"`
	Created *int64  `json:"ctime"`
	Expires *int64  `json:"expire"`
	Payload string  `json:"payload"`
}

// payload is the JSON text inside content.Payload of a token with privileges.
type payload struct {
	RoomID    string         `json:"room_id"`
	Privilege map[string]int `json:"privilege"`
	StreamIDs []string       `json:"stream_id_list"`
}

const (
	prefix  = "04"
	modeCBC = 0
	modeGCM = 1

	privilegeLogin   = "1"
	privilegePublish = "2"
	privilegeHidden  = "3"
)

// Make seals c with AES-256-GCM. The secret has 32 bytes. A zero Created means
// now, a zero Nonce a random one.
func Make(secret string, c Claims) (string, error) {
	if c.Created.IsZero() {
		c.Created = time.Now()
	}
	if err := c.check(); err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	aead, err := newGCM(secret)
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	var random [16]byte
	rand.Read(random[:])
	if c.Nonce == 0 {
		c.Nonce = int32(binary.BigEndian.Uint32(random[12:]))
	}
	plain, err := c.encode()
	if err != nil {
		return "", fmt.Errorf("make token: %w", err)
	}
	nonce := random[:12]
	sealed := aead.Seal(nil, nonce, plain, nil)
	if len(sealed) > math.MaxUint16 {
		return "", errors.New("make token: too many streams")
	}
	return pack(c.Expires.Unix(), nonce, sealed, modeGCM), nil
}

func (c Claims) check() error {
	switch {
	case c.AppID == 0:
		return errors.New("app id is zero")
	case c.UserID == "":
		return errors.New("user id is empty")
	case len(c.UserID) > MaxUserID:
		return fmt.Errorf("user id is longer than %d bytes", MaxUserID)
	case c.Expires.Unix() <= c.Created.Unix():
		return errors.New("it would expire before it is made")
	}
	return nil
}

func (c Claims) encode() ([]byte, error) {
	created, expires := c.Created.Unix(), c.Expires.Unix()
	t := content{AppID: &c.AppID, UserID: &c.UserID, Nonce: &c.Nonce, Created: &created, Expires: &expires}
	basic := c.RoomID == "" && c.Login && c.Publish && !c.Hidden && len(c.StreamIDs) == 0
	if !basic {
		p := payload{RoomID: c.RoomID, StreamIDs: c.StreamIDs, Privilege: map[string]int{
			privilegeLogin: bit(c.Login), privilegePublish: bit(c.Publish),
		}}
		if c.Hidden {
			p.Privilege[privilegeHidden] = 1
		}
		text, err := json.Marshal(p)
		if err != nil {
			return nil, err
		}
		t.Payload = string(text)
	}
	return json.Marshal(t)
}

func bit(b bool) int {
	if b {
		return 1
	}
	return 0
}

func pack(expires int64, iv, sealed []byte, mode byte) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(expires))
	b = binary.BigEndian.AppendUint16(b, uint16(len(iv)))
	b = append(b, iv...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(sealed)))
	b = append(b, sealed...)
	b = append(b, mode)
	return prefix + base64.StdEncoding.EncodeToString(b)
}

// Parse reads a token that was made for appID with secret and has not expired
// at now. Its errors wrap ErrFormat, ErrForeign or ErrExpired; an error about
// the secret itself wraps none of them.
func Parse(secret string, appID uint32, token string, now time.Time) (Claims, error) {
	if len(secret) != SecretSize {
		return Claims{}, fmt.Errorf("parse token: secret has %d bytes, not %d", len(secret), SecretSize)
	}
	e, err := unpack(token)
	if err != nil {
		return Claims{}, fmt.Errorf("parse token: %w", err)
	}
	c, ok := e.open(secret)
	if !ok || c.AppID != appID || c.Expires.Unix() != e.expires {
		return Claims{}, fmt.Errorf("parse token: %w", ErrForeign)
	}
	if !now.Before(c.Expires) {
		return Claims{}, fmt.Errorf("parse token: %w", ErrExpired)
	}
	return c, nil
}

// envelope is the outer, unauthenticated layer of a token.
type envelope struct {
	expires int64
	iv      []byte
	sealed  []byte
	mode    byte
}

func unpack(token string) (envelope, error) {
	text, ok := strings.CutPrefix(token, prefix)
	if !ok || len(token) > MaxTokenLen || strings.ContainsAny(text, "\r\n") { // which base64 would skip
		return envelope{}, ErrFormat
	}
	b, err := base64.StdEncoding.Strict().DecodeString(text)
	if err != nil || len(b) < 8 {
		return envelope{}, ErrFormat
	}
	e := envelope{expires: int64(binary.BigEndian.Uint64(b))}
	b = b[8:]
	if e.iv, b, ok = cutField(b); !ok {
		return envelope{}, ErrFormat
	}
	if e.sealed, b, ok = cutField(b); !ok {
		return envelope{}, ErrFormat
	}
	switch {
	case len(b) == 1:
		e.mode = b[0]
	case len(b) > 1:
		return envelope{}, ErrFormat
	}
	switch e.mode {
	case modeCBC:
		ok = len(e.iv) == aes.BlockSize && len(e.sealed) > 0 && len(e.sealed)%aes.BlockSize == 0
	case modeGCM:
		ok = len(e.iv) == 12 && len(e.sealed) > 16
	default:
		ok = false
	}
	if !ok {
		return envelope{}, ErrFormat
	}
	return e, nil
}

// cutField takes a field with a 16-bit length off b.
func cutField(b []byte) (field, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if len(b) < 2+n {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}
