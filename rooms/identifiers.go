package rooms

import (
	"encoding/json"
	"reflect"
	"strings"
	"unicode/utf16"

	"mixdown/rooms/signal"
)

// Sizes of what clients name, in bytes unless said otherwise.
const (
	maxRoomID    = 128
	maxUserID    = 64
	maxUserName  = 256 // UTF-16 units, as ZEGO's SDK counts
	maxStreamID  = 256
	maxExtraInfo = 1024
	maxMessage   = 1024
)

// What IDs may consist of beside digits and letters: ZEGO's documented set
// without what its SDK refuses.
const (
	userPunctuation = "~!@#$^&*()_+=-;',."
	roomPunctuation = userPunctuation + "<>"
)

func alphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b && b <= 'z'
}

// written says whether id consists of digits, letters and the punctuation. "."
// and ".." are refused as well: IDs become parts of paths.
func written(id, punctuation string) bool {
	for i := range len(id) {
		if !alphanumeric(id[i]) && strings.IndexByte(punctuation, id[i]) < 0 {
			return false
		}
	}
	return id != "." && id != ".."
}

func checkRoomID(id string) *signal.Error {
	switch {
	case id == "":
		return fault(signal.CodeRoomIDEmpty, "roomID is empty")
	case len(id) > maxRoomID:
		return fault(signal.CodeRoomIDTooLong, "roomID is longer than %d bytes", maxRoomID)
	case !written(id, roomPunctuation):
		return fault(signal.CodeRoomIDBad, "roomID may have digits, letters and %s", roomPunctuation)
	}
	return nil
}

func checkUser(u signal.User) *signal.Error {
	switch {
	case u.UserID == "":
		return fault(signal.CodeUserIDEmpty, "user.userID is empty")
	case len(u.UserID) > maxUserID:
		return fault(signal.CodeUserIDTooLong, "user.userID is longer than %d bytes", maxUserID)
	case !written(u.UserID, userPunctuation):
		return fault(signal.CodeUserIDBad, "user.userID may have digits, letters and %s", userPunctuation)
	case len(utf16.Encode([]rune(u.UserName))) > maxUserName:
		return fault(signal.CodeUserNameTooLong, "user.userName is longer than %d characters", maxUserName)
	}
	return nil
}

func checkStreamID(id string) *signal.Error {
	switch {
	case id == "":
		return fault(signal.CodeStreamIDEmpty, "streamID is empty")
	case len(id) > maxStreamID:
		return fault(signal.CodeStreamIDTooLong, "streamID is longer than %d characters", maxStreamID)
	}
	for i := range len(id) {
		if !alphanumeric(id[i]) && id[i] != '-' && id[i] != '_' {
			return fault(signal.CodeStreamIDBad, "streamID may have digits, letters, - and _")
		}
	}
	return nil
}

func checkExtraInfo(text string) *signal.Error {
	if len(text) > maxExtraInfo {
		return fault(signal.CodeStreamInfoTooLong, "extraInfo is longer than %d bytes", maxExtraInfo)
	}
	return nil
}

// kindOf names a JSON type for an error's sentence.
func kindOf(t *json.UnmarshalTypeError) string {
	switch t.Type.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Struct, reflect.Map:
		return "an object"
	case reflect.Pointer:
		return kindOf(&json.UnmarshalTypeError{Type: t.Type.Elem()})
	}
	return "a whole number in range"
}
