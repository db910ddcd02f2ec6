package configs

import (
	"fmt"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Redacted is the configuration as YAML without what must not be shown.
func (c Config) Redacted() ([]byte, error) {
	var doc yaml.Node
	if err := doc.Encode(c); err != nil {
		return nil, fmt.Errorf("encode the configuration: %w", err)
	}
	redact(&doc)
	return yaml.Marshal(&doc)
}

// redact hides every value whose key says that it is a secret, and passwords
// in URLs.
func redact(n *yaml.Node) {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			key, value := strings.ToLower(n.Content[i].Value), n.Content[i+1]
			if value.Kind != yaml.ScalarNode {
				continue
			}
			switch {
			case value.Value == "":
			case strings.Contains(key, "secret"), strings.Contains(key, "password"), strings.Contains(key, "token"),
				key == "apikey", key == "accesskey":
				value.Value, value.Style = "***", 0
			case strings.Contains(value.Value, "://"):
				if u, err := url.Parse(value.Value); err == nil && u.User != nil {
					u.User = url.User("***")
					value.Value = u.String()
				}
			}
		}
	}
	for _, child := range n.Content {
		redact(child)
	}
}
