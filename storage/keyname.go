package storage

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

// maxElement is the longest path element of a key; the file systems' limit is
// 255, and the spool appends to it.
const maxElement = 200

// Names that the spool gives; no element of a key may end so.
const partExt = ".part"

func safeByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
		c == '.' || c == '_' || c == '-' || c == '=' || c == '~' || c == '@' || c == '+' || c == ',' || c == '%'
}

// checkKey accepts slash-separated elements of safe characters that are
// neither hidden nor relative.
func checkKey(key string) error {
	if len(key) > 900 {
		return fmt.Errorf("key of %d bytes is too long", len(key))
	}
	for element := range strings.SplitSeq(key, "/") {
		switch {
		case element == "":
			return fmt.Errorf("key %q has an empty element", key)
		case element[0] == '.':
			return fmt.Errorf("key %q has an element that starts with a dot", key)
		case len(element) > maxElement:
			return fmt.Errorf("key %q has an element over %d bytes", key, maxElement)
		case strings.HasSuffix(element, partExt):
			return fmt.Errorf("key %q has an element that ends with %s", key, partExt)
		}
		for i := range len(element) {
			if !safeByte(element[i]) {
				return fmt.Errorf("key %q has the unsafe character %q", key, element[i])
			}
		}
	}
	return nil
}

// checkBucketName accepts what can be the name of a folder, without the +
// that joins several.
func checkBucketName(name string) error {
	if err := checkKey(name); err != nil || strings.ContainsAny(name, "/+") || len(name) > 60 {
		return fmt.Errorf("%q is no name for a bucket", name)
	}
	return nil
}

// KeyName makes one path element of any room, user or stream id. Letters,
// digits and -_.@ stay, other bytes become =XX (so that URLs need no further
// escaping), and so does a leading dot. Different ids have different names. A
// name over 150 bytes is cut and ends with ~ and 128 bits of the id's SHA-256.
func KeyName(id string) string {
	const longest = 150
	var b strings.Builder
	for i := range len(id) {
		c := id[i]
		switch {
		case c == '.' && i == 0, c == '=', c == '~', c == '+', c == ',', c == '%', !safeByte(c):
			fmt.Fprintf(&b, "=%02X", c)
		default:
			b.WriteByte(c)
		}
	}
	name := b.String()
	switch {
	case name == "":
		return "=" // no other id has this name
	case len(name) <= longest && !strings.HasSuffix(name, partExt):
		return name
	}
	sum := sha256.Sum256([]byte(id))
	return name[:min(len(name), longest-33)] + "~" + hex.EncodeToString(sum[:16])
}
