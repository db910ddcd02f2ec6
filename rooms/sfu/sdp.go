package sfu

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pion/sdp/v3"
)

// maxSDP is far above what a browser sends of one stream and below what would
// keep a parser busy; an answer may have maxSection more for each it answers.
const (
	maxSDP     = 256 << 10
	maxSection = 2 << 10
)

// checkOffer refuses an offer without an audio section of Opus in one of these
// directions.
func checkOffer(offer string, directions ...string) error {
	if len(offer) > maxSDP {
		return fmt.Errorf("%w: longer than %d bytes", ErrBadSDP, maxSDP)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(offer); err != nil {
		return fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	audio := false
	for _, m := range d.MediaDescriptions {
		if m.MediaName.Media != "audio" || m.MediaName.Port.Value == 0 {
			continue
		}
		audio = true
		if slices.Contains(directions, direction(&d, m)) && hasOpus(m) {
			return nil
		}
	}
	if !audio {
		return fmt.Errorf("%w: no audio section", ErrBadSDP)
	}
	return fmt.Errorf("%w: no %s audio section with opus/48000/2", ErrBadSDP, strings.Join(directions, " or "))
}

// checkAnswer refuses what does not answer an offer with these media sections,
// before it can spoil the connection.
func checkAnswer(answer string, mids []string) error {
	if most := maxSDP + maxSection*len(mids); len(answer) > most {
		return fmt.Errorf("%w: longer than %d bytes", ErrBadSDP, most)
	}
	var d sdp.SessionDescription
	if err := d.UnmarshalString(answer); err != nil {
		return fmt.Errorf("%w: %w", ErrBadSDP, err)
	}
	if len(d.MediaDescriptions) != len(mids) {
		return fmt.Errorf("%w: %d media sections answer %d", ErrBadSDP, len(d.MediaDescriptions), len(mids))
	}
	for i, m := range d.MediaDescriptions {
		if mid, _ := m.Attribute("mid"); mid != mids[i] {
			return fmt.Errorf("%w: media section %q answers %q", ErrBadSDP, mid, mids[i])
		}
	}
	for _, key := range []string{"ice-ufrag", "ice-pwd", "fingerprint"} {
		_, found := d.Attribute(key)
		for _, m := range d.MediaDescriptions {
			_, here := m.Attribute(key)
			found = found || here
		}
		if !found {
			return fmt.Errorf("%w: no a=%s", ErrBadSDP, key)
		}
	}
	return nil
}

// redirect changes the direction of some media sections.
func redirect(description string, mids map[string]bool, from, to string) string {
	lines := strings.SplitAfter(description, "\n")
	found, chosen := -1, false
	settle := func() {
		if chosen && found >= 0 {
			lines[found] = strings.Replace(lines[found], from, to, 1)
		}
		found, chosen = -1, false
	}
	for i, line := range lines {
		line = strings.TrimRight(line, "\r\n")
		mid, isMid := strings.CutPrefix(line, "a=mid:")
		switch {
		case strings.HasPrefix(line, "m="):
			settle()
		case isMid:
			chosen = mids[mid]
		case line == "a="+from:
			found = i
		}
	}
	settle()
	return strings.Join(lines, "")
}

func direction(d *sdp.SessionDescription, m *sdp.MediaDescription) string {
	for _, attributes := range [][]sdp.Attribute{m.Attributes, d.Attributes} {
		for _, a := range attributes {
			switch a.Key {
			case "sendrecv", "sendonly", "recvonly", "inactive":
				return a.Key
			}
		}
	}
	return "sendrecv" // RFC 8866, section 6.7
}

func hasOpus(m *sdp.MediaDescription) bool {
	for _, a := range m.Attributes {
		if _, codec, _ := strings.Cut(a.Value, " "); a.Key == "rtpmap" && strings.EqualFold(codec, "opus/48000/2") {
			return true
		}
	}
	return false
}

// allowStereo lets a publisher that announces stereo send it: its own
// "sprop-stereo=1" comes back in the answer and is joined by "stereo=1", our
// leave (RFC 7587, section 7.1). An offered "stereo=1" comes back by itself.
func allowStereo(answer string) string {
	const newline = "\r\n"
	lines := strings.Split(answer, newline)
	for i, line := range lines {
		if !strings.HasPrefix(line, "a=fmtp:") {
			continue
		}
		announced, allowed := false, false
		_, parameters, _ := strings.Cut(line, " ")
		for p := range strings.SplitSeq(parameters, ";") {
			switch strings.TrimSpace(p) {
			case "sprop-stereo=1":
				announced = true
			case "stereo=1":
				allowed = true
			}
		}
		if announced && !allowed {
			lines[i] = line + ";stereo=1"
		}
	}
	return strings.Join(lines, newline)
}
