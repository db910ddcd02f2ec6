package whep

import (
	"fmt"
	"net/netip"
	"strings"

	"mixdown/netguard"
)

// admit takes out of a server's answer the candidates that must not be reached:
// a server that somebody else chose must not make this machine knock at the
// doors of a private network. Names are no addresses and go, too. guard nil
// lets everything through.
func admit(answer string, guard *netguard.Guard) (string, error) {
	if guard == nil {
		return answer, nil
	}
	var kept strings.Builder
	left, refused := 0, error(nil)
	for line := range strings.Lines(answer) {
		if rest, ok := strings.CutPrefix(line, "a=candidate:"); ok {
			if err := reachable(rest, guard); err != nil {
				refused = err
				continue
			}
			left++
		}
		kept.WriteString(line)
	}
	if left == 0 && refused != nil {
		return "", fmt.Errorf("media address of the server: %w", refused)
	}
	return kept.String(), nil
}

// reachable checks a candidate (RFC 8839, section 5.1): foundation, component,
// transport, priority, address.
func reachable(candidate string, guard *netguard.Guard) error {
	fields := strings.Fields(candidate)
	if len(fields) < 6 {
		return fmt.Errorf("%q is no candidate", strings.TrimSpace(candidate))
	}
	a, err := netip.ParseAddr(fields[4])
	if err != nil {
		return fmt.Errorf("%s is no address", fields[4])
	}
	return guard.Check(a)
}
