package lines_test

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"mixdown/storage/lines"
)

func TestLines(t *testing.T) {
	long, longer := strings.Repeat("x", 64<<10), strings.Repeat("y", 3<<20)
	for name, test := range map[string]struct {
		text string
		want []string
		torn bool
	}{
		"nothing":       {"", nil, false},
		"one":           {"a\n", []string{"a"}, false},
		"empty lines":   {"\n\nb\n", []string{"", "", "b"}, false},
		"a piece":       {"a\nb", []string{"a"}, true},
		"only a piece":  {"b", nil, true},
		"long lines":    {"a\n" + long + "\n" + longer + "\n" + long + "x\nb\n", []string{"a", long, longer, long + "x", "b"}, false},
		"a long piece":  {longer + "\n" + longer, []string{longer}, true},
		"carriage feed": {"a\r\n", []string{"a\r"}, false},
	} {
		for kind, r := range map[string]io.Reader{"whole": strings.NewReader(test.text), "halves": iotest.HalfReader(strings.NewReader(test.text))} {
			var got []string
			whole, torn, err := lines.New(r, 0).Each(func(line []byte) error {
				got = append(got, string(line))
				return nil
			})
			if err != nil || torn != test.torn || !slices.Equal(got, test.want) || whole != int64(strings.LastIndexByte(test.text, '\n')+1) {
				t.Errorf("%s, %s: %d lines, %d bytes, torn %v, %v", name, kind, len(got), whole, torn, err)
			}
		}
	}
}

func TestBoundedAndBroken(t *testing.T) {
	count := 0
	add := func([]byte) error { count++; return nil }
	if _, _, err := lines.New(strings.NewReader("a\n"+strings.Repeat("x", 300<<10)+"\n"), 100<<10).Each(add); err == nil || count != 1 {
		t.Errorf("a line that is too long: %v after %d", err, count)
	}
	broken := errors.New("broken")
	if _, torn, err := lines.New(io.MultiReader(strings.NewReader("a\nb"), iotest.ErrReader(broken)), 0).Each(add); !errors.Is(err, broken) || !torn || count != 2 {
		t.Errorf("a file that cannot be read: %v after %d", err, count)
	}
	enough := errors.New("enough")
	whole, _, err := lines.New(strings.NewReader("a\nb\nc\n"), 0).Each(func(line []byte) error {
		if string(line) == "b" {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || whole != 2 {
		t.Errorf("%d bytes, %v", whole, err)
	}
}
