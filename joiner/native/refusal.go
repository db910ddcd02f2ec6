package native

import (
	"errors"
	"fmt"

	"mixdown/joiner"
	"mixdown/rooms/signal"
)

// permanent says whether a refusal or a dismissal with this code is for good:
// the token or an ID is bad, or somebody wanted this login out of the room.
func permanent(code int) bool {
	switch code {
	case signal.CodeKickedSameUser, signal.CodeKickedByServer, signal.CodeLoggedInElsewhere,
		signal.CodeAuthFailed, signal.CodeTokenAuthFailed, signal.CodeTokenRequired, signal.CodeTokenFormat,
		signal.CodeUserIDEmpty, signal.CodeUserIDBad, signal.CodeUserIDTooLong, signal.CodeUserNameTooLong,
		signal.CodeRoomIDEmpty, signal.CodeRoomIDBad, signal.CodeRoomIDTooLong:
		return true
	}
	return false
}

// refusal marks a server's permanent refusal in err with ErrPermanent.
func refusal(err error) error {
	if permanent(code(err)) {
		return fmt.Errorf("%w: %w (code %d)", joiner.ErrPermanent, err, code(err))
	}
	return err
}

// code is the code of a server's refusal, 0 for any other error.
func code(err error) int {
	if e, ok := errors.AsType[*signal.Error](err); ok {
		return e.Code
	}
	return 0
}

// dismissed is the error for a server that ended the login.
func dismissed(p signal.RoomStateParams) error {
	err := fmt.Errorf("room server ended the login (code %d)", p.ErrorCode)
	if p.ExtendedData != "" {
		err = fmt.Errorf("%w: %s", err, p.ExtendedData)
	}
	if permanent(p.ErrorCode) {
		return fmt.Errorf("%w: %w", joiner.ErrPermanent, err)
	}
	return err
}
