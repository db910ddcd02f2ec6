package token

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"time"
)

func newGCM(secret string) (cipher.AEAD, error) {
	if len(secret) != SecretSize {
		return nil, fmt.Errorf("secret has %d bytes, not %d", len(secret), SecretSize)
	}
	block, err := aes.NewCipher([]byte(secret))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// open decrypts and decodes. It says only whether all of it worked: a caller
// who learned which step failed could read CBC tokens by trial.
func (e envelope) open(secret string) (Claims, bool) {
	var plain []byte
	var ok bool
	if e.mode == modeGCM {
		aead, err := newGCM(secret)
		if err != nil {
			return Claims{}, false
		}
		plain, err = aead.Open(nil, e.iv, e.sealed, nil)
		ok = err == nil
	} else {
		plain, ok = openCBC(secret, e.iv, e.sealed)
	}
	c, decoded := decode(plain)
	return c, ok && decoded
}

// openCBC always returns a text to decode, also when the padding is wrong, so
// that both failures take the same way.
func openCBC(secret string, iv, sealed []byte) ([]byte, bool) {
	block, err := aes.NewCipher([]byte(secret))
	if err != nil {
		return nil, false
	}
	plain := make([]byte, len(sealed))
	cipher.NewCBCDecrypter(block, iv).CryptBlocks(plain, sealed)

	// PKCS #7, checked without a branch on the plaintext.
	pad := int(plain[len(plain)-1])
	good := subtle.ConstantTimeLessOrEq(1, pad) & subtle.ConstantTimeLessOrEq(pad, aes.BlockSize)
	for i := 1; i <= aes.BlockSize; i++ {
		inside := subtle.ConstantTimeLessOrEq(i, pad)
		same := subtle.ConstantTimeByteEq(plain[len(plain)-i], byte(pad))
		good &= subtle.ConstantTimeSelect(inside, same, 1)
	}
	n := subtle.ConstantTimeSelect(good, pad, 0)
	return plain[:len(plain)-n], good == 1
}

func decode(plain []byte) (Claims, bool) {
	var t content
	if json.Unmarshal(plain, &t) != nil {
		return Claims{}, false
	}
	if t.AppID == nil || t.UserID == nil || t.Nonce == nil || t.Created == nil || t.Expires == nil || *t.UserID == "" {
		return Claims{}, false
	}
	c := Claims{
		AppID: *t.AppID, UserID: *t.UserID, Nonce: *t.Nonce,
		Created: time.Unix(*t.Created, 0).UTC(), Expires: time.Unix(*t.Expires, 0).UTC(),
	}
	if t.Payload == "" {
		c.Login, c.Publish = true, true
		return c, true
	}
	var p payload
	if json.Unmarshal([]byte(t.Payload), &p) != nil {
		return Claims{}, false
	}
	c.RoomID, c.StreamIDs = p.RoomID, p.StreamIDs
	c.Login = p.Privilege[privilegeLogin] == 1
	c.Publish = p.Privilege[privilegePublish] == 1
	c.Hidden = p.Privilege[privilegeHidden] == 1
	return c, true
}
