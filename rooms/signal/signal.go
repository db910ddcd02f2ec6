// Package signal is the wire language of /ws: JSON-RPC 2.0 in text frames,
// one connection for each login, methods and events named as in ZEGO's
// tutorial. The room service (rooms) speaks one side of it, joiner/native the
// other; docs/room-protocol.md describes it for everybody else.
package signal

import "encoding/json"

// Message is any JSON-RPC 2.0 message: a request has Method and ID, a
// notification Method only, a response ID and Result or Error.
type Message struct {
	Version string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  json.RawMessage `json:"params,omitempty"`
	Result  json.RawMessage `json:"result,omitempty"`
	Error   *Error          `json:"error,omitempty"`
}

// Error is a JSON-RPC error. Code is a JSON-RPC code (negative) or one of
// ZEGO's codes (see the constants).
type Error struct {
	Code    int             `json:"code"`
	Message string          `json:"message"`
	Data    json.RawMessage `json:"data,omitempty"`
}

func (e *Error) Error() string { return e.Message }

// Methods that a client calls.
const (
	LoginRoom            = "loginRoom"
	LogoutRoom           = "logoutRoom"
	RenewToken           = "renewToken"
	StartPublishing      = "startPublishing"
	StopPublishing       = "stopPublishing"
	StartPlaying         = "startPlaying"
	StopPlaying          = "stopPlaying"
	Answer               = "answer"
	SetStreamExtraInfo   = "setStreamExtraInfo"
	SetRoomExtraInfo     = "setRoomExtraInfo"
	SendBroadcastMessage = "sendBroadcastMessage"
	SendBarrageMessage   = "sendBarrageMessage"
	SendCustomCommand    = "sendCustomCommand"
)

// Notifications that the server sends.
const (
	RoomStateUpdate           = "roomStateUpdate"
	RoomUserUpdate            = "roomUserUpdate"
	RoomStreamUpdate          = "roomStreamUpdate"
	StreamExtraInfoUpdate     = "streamExtraInfoUpdate"
	RoomExtraInfoUpdate       = "roomExtraInfoUpdate"
	RoomOnlineUserCountUpdate = "roomOnlineUserCountUpdate"
	PublisherStateUpdate      = "publisherStateUpdate"
	PlayerStateUpdate         = "playerStateUpdate"
	RoomSoundLevel            = "roomSoundLevel"
	TokenWillExpire           = "tokenWillExpire"
	IMRecvBroadcastMessage    = "IMRecvBroadcastMessage"
	IMRecvBarrageMessage      = "IMRecvBarrageMessage"
	IMRecvCustomCommand       = "IMRecvCustomCommand"
	Offer                     = "offer"
)

// User is a user of a room.
type User struct {
	UserID   string `json:"userID"`
	UserName string `json:"userName"`
}

// Stream is what a user publishes.
type Stream struct {
	StreamID  string `json:"streamID"`
	User      User   `json:"user"`
	ExtraInfo string `json:"extraInfo"`
}

// RoomConfig is the optional part of a login. IsUserStatusNotify is the
// tutorial's older name of UserUpdate; either may be given.
type RoomConfig struct {
	UserUpdate         bool `json:"userUpdate,omitempty"`
	IsUserStatusNotify bool `json:"isUserStatusNotify,omitempty"`
	MaxMemberCount     int  `json:"maxMemberCount,omitempty"`
}

// LoginParams are the params of LoginRoom. SessionID, when given, resumes a
// session that dropped less than 30 s ago.
type LoginParams struct {
	RoomID    string     `json:"roomID"`
	Token     string     `json:"token,omitempty"`
	User      User       `json:"user"`
	Config    RoomConfig `json:"config"`
	SessionID string     `json:"sessionID,omitempty"`
}

// LoginResult answers LoginRoom. Resumed says that the session went on: the
// server still knows what it publishes; media connections are made anew.
type LoginResult struct {
	RoomID    string   `json:"roomID"`
	SessionID string   `json:"sessionID"`
	Resumed   bool     `json:"resumed"`
	Users     []User   `json:"users"`
	Streams   []Stream `json:"streams"`
}

// RoomParams are the params of LogoutRoom.
type RoomParams struct {
	RoomID string `json:"roomID"`
}

// RenewTokenParams are the params of RenewToken.
type RenewTokenParams struct {
	RoomID string `json:"roomID"`
	Token  string `json:"token"`
}

// PublishParams are the params of StartPublishing; SDP is the client's offer.
type PublishParams struct {
	StreamID  string `json:"streamID"`
	ExtraInfo string `json:"extraInfo"`
	SDP       string `json:"sdp"`
}

// SDP carries a session description: the result of StartPublishing, the
// params of Answer.
type SDP struct {
	SDP string `json:"sdp"`
}

// StreamParams are the params of StopPublishing and SetStreamExtraInfo.
type StreamParams struct {
	StreamID  string `json:"streamID"`
	ExtraInfo string `json:"extraInfo,omitempty"`
}

// StreamsParams are the params of StartPlaying and StopPlaying.
type StreamsParams struct {
	StreamIDs []string `json:"streamIDs"`
}

// OfferParams are the params of Offer: the whole session description of what
// the login plays and the stream of each media section.
type OfferParams struct {
	SDP     string            `json:"sdp"`
	Streams map[string]string `json:"streams"` // mid to streamID
}

// ExtraInfo is one key of a room's extra info. The key "recording" is the
// recording indicator: true, false or "paused"; only hidden logins set it. Any
// user sets another one, whose value is a string; it says who set it, and when
// in milliseconds since 1970.
type ExtraInfo struct {
	Key        string          `json:"key"`
	Value      json.RawMessage `json:"value"`
	UpdateUser *User           `json:"updateUser,omitempty"`
	UpdateTime int64           `json:"updateTime,omitempty"`
}

// SetRoomExtraInfoParams are the params of SetRoomExtraInfo.
type SetRoomExtraInfoParams struct {
	RoomID string          `json:"roomID"`
	Key    string          `json:"key"`
	Value  json.RawMessage `json:"value"`
}

// RoomExtraInfoParams are the params of RoomExtraInfoUpdate.
type RoomExtraInfoParams struct {
	RoomID            string      `json:"roomID"`
	RoomExtraInfoList []ExtraInfo `json:"roomExtraInfoList"`
}

// State is a state of the login, a publisher or a player.
type State string

// The states of the tutorial.
const (
	Disconnected State = "DISCONNECTED"
	Connecting   State = "CONNECTING"
	Connected    State = "CONNECTED"

	NoPublish         State = "NO_PUBLISH"
	PublishRequesting State = "PUBLISH_REQUESTING"
	Publishing        State = "PUBLISHING"

	NoPlay         State = "NO_PLAY"
	PlayRequesting State = "PLAY_REQUESTING"
	Playing        State = "PLAYING"
)

// UpdateType says whether a list was added or deleted.
type UpdateType string

// The update types of the tutorial.
const (
	Add    UpdateType = "ADD"
	Delete UpdateType = "DELETE"
)

// RoomStateParams are the params of RoomStateUpdate.
type RoomStateParams struct {
	RoomID       string `json:"roomID"`
	State        State  `json:"state"`
	ErrorCode    int    `json:"errorCode"`
	ExtendedData string `json:"extendedData"`
}

// UserUpdateParams are the params of RoomUserUpdate.
type UserUpdateParams struct {
	RoomID     string     `json:"roomID"`
	UpdateType UpdateType `json:"updateType"`
	UserList   []User     `json:"userList"`
}

// StreamUpdateParams are the params of RoomStreamUpdate. ExtendedData of a
// DELETE is JSON: {"stream_delete_reason":[{"code":1}]}.
type StreamUpdateParams struct {
	RoomID       string     `json:"roomID"`
	UpdateType   UpdateType `json:"updateType"`
	StreamList   []Stream   `json:"streamList"`
	ExtendedData string     `json:"extendedData"`
}

// StreamExtraInfoParams are the params of StreamExtraInfoUpdate.
type StreamExtraInfoParams struct {
	RoomID     string   `json:"roomID"`
	StreamList []Stream `json:"streamList"`
}

// UserCountParams are the params of RoomOnlineUserCountUpdate.
type UserCountParams struct {
	RoomID string `json:"roomID"`
	Count  int    `json:"count"`
}

// StreamStateParams are the params of PublisherStateUpdate and
// PlayerStateUpdate.
type StreamStateParams struct {
	StreamID     string `json:"streamID"`
	State        State  `json:"state"`
	ErrorCode    int    `json:"errorCode"`
	ExtendedData string `json:"extendedData"`
}

// SoundLevelParams are the params of RoomSoundLevel: dBov of each stream,
// -127 to 0.
type SoundLevelParams struct {
	RoomID string         `json:"roomID"`
	Levels map[string]int `json:"levels"`
}

// BroadcastParams are the params of SendBroadcastMessage and
// SendBarrageMessage.
type BroadcastParams struct {
	RoomID  string `json:"roomID,omitempty"`
	Message string `json:"message"`
}

// BroadcastMessage is one message of IMRecvBroadcastMessage; SendTime is in
// milliseconds since 1970.
type BroadcastMessage struct {
	FromUser  User   `json:"fromUser"`
	Message   string `json:"message"`
	SendTime  int64  `json:"sendTime"`
	MessageID int64  `json:"messageID"`
}

// BroadcastListParams are the params of IMRecvBroadcastMessage.
type BroadcastListParams struct {
	RoomID string             `json:"roomID"`
	List   []BroadcastMessage `json:"list"`
}

// BarrageMessage is one message of IMRecvBarrageMessage: a broadcast message
// of which a service may drop some.
type BarrageMessage struct {
	FromUser  User   `json:"fromUser"`
	Message   string `json:"message"`
	SendTime  int64  `json:"sendTime"`
	MessageID string `json:"messageID"`
}

// BarrageListParams are the params of IMRecvBarrageMessage.
type BarrageListParams struct {
	RoomID string           `json:"roomID"`
	List   []BarrageMessage `json:"list"`
}

// CommandParams are the params of SendCustomCommand; no user means everybody
// else.
type CommandParams struct {
	RoomID       string   `json:"roomID,omitempty"`
	Command      string   `json:"command"`
	ToUserIDList []string `json:"toUserIDList"`
}

// CommandNotice are the params of IMRecvCustomCommand.
type CommandNotice struct {
	RoomID   string `json:"roomID"`
	FromUser User   `json:"fromUser"`
	Command  string `json:"command"`
}

// Error codes. The negative ones are JSON-RPC's, the others ZEGO's as its
// public error table lists them.
const (
	CodeParse          = -32700
	CodeInvalidRequest = -32600
	CodeMethodNotFound = -32601
	CodeInvalidParams  = -32602
	CodeInternal       = -32603
	CodeFlood          = -32000

	CodeNotLoggedIn         = 1000002
	CodeStreamIDTooLong     = 1000014
	CodeStreamIDEmpty       = 1000015
	CodeStreamIDBad         = 1000016
	CodeRetrying            = 1000017
	CodeAuthFailed          = 1001004
	CodeNotLoggedOut        = 1002001
	CodeUserIDEmpty         = 1002005
	CodeUserIDBad           = 1002006
	CodeUserIDTooLong       = 1002007
	CodeUserNameTooLong     = 1002010
	CodeRoomIDEmpty         = 1002011
	CodeRoomIDBad           = 1002012
	CodeRoomIDTooLong       = 1002013
	CodeRoomGone            = 1002014
	CodeExtraKeyTooLong     = 1002015
	CodeExtraValueTooLong   = 1002016
	CodeExtraKeyTaken       = 1002017
	CodeTokenAuthFailed     = 1002033
	CodeRoomFull            = 1002034
	CodeKickedSameUser      = 1002050
	CodeRetryExceeded       = 1002053
	CodeKickedByServer      = 1002055
	CodeLoggedInElsewhere   = 1002086
	CodePublishForbidden    = 1003025
	CodeDuplicateStream     = 1003028
	CodeStreamInfoTooLong   = 1003051
	CodePlayNoSuchStream    = 1004002
	CodePlayInterrupted     = 1004020
	CodePlayFailed          = 1004099
	CodeTokenRequired       = 1100001
	CodeHeartbeatTimeout    = 1102001
	CodeTokenFormat         = 1102016
	CodeTokenExpired        = 1102018
	CodeForbidden           = 1102020
	CodePublishBadParam     = 1103001
	CodePublishMediaFailed  = 1103003
	CodePublishAuthFailed   = 1103019
	CodePublishBadSDP       = 1103022
	CodeNotPublishing       = 1103040
	CodePublishRetryTimeout = 1103051
	CodeAlreadyPublishing   = 1103056
	CodePlayBadSDP          = 1104022
	CodeAlreadyPlaying      = 1104032
	CodeMessageEmpty        = 1009001
	CodeMessageTooLong      = 1009002
	CodeMessageRateLimited  = 1109001
)

// Reasons of a stream's deletion (stream_delete_reason).
const (
	DeletedByUser        = 1
	DeletedHeartbeat     = 2
	DeletedRepeatedLogin = 3
	DeletedKicked        = 4
	DeletedConnection    = 5
	DeletedByServer      = 6
)
