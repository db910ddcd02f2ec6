package configs

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v3"
)

// decode sets what a YAML document says. Keys that the configuration does not
// have are errors that name the nearest one it has.
func decode(data []byte, c *Config) error {
	var doc yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	err := d.Decode(&doc)
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(doc.Content) == 1 {
		if err := checkKeys(doc.Content[0], reflect.TypeFor[Config](), ""); err != nil {
			return err
		}
	}
	return doc.Decode(c)
}

// checkKeys compares the keys of a mapping with the fields of t.
func checkKeys(n *yaml.Node, t reflect.Type, path string) error {
	if n.Kind != yaml.MappingNode {
		return nil
	}
	var errs []error
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		var sub reflect.Type
		switch t.Kind() {
		case reflect.Map:
			sub = t.Elem()
		case reflect.Struct:
			f, ok := fieldOf(t, key.Value)
			if !ok {
				errs = append(errs, fmt.Errorf("line %d: there is no key %s%s; did you mean %s%s?",
					key.Line, path, key.Value, path, nearest(key.Value, keysOf(t))))
				continue
			}
			sub = f.Type
		default:
			continue
		}
		errs = append(errs, checkKeys(value, sub, path+key.Value+"."))
	}
	return errors.Join(errs...)
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") == key {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

func keysOf(t reflect.Type) (keys []string) {
	for i := range t.NumField() {
		keys = append(keys, t.Field(i).Tag.Get("yaml"))
	}
	return keys
}

// nearest is the known name with the smallest edit distance.
func nearest(name string, known []string) string {
	return slices.MinFunc(known, func(a, b string) int {
		return distance(strings.ToLower(name), strings.ToLower(a)) - distance(strings.ToLower(name), strings.ToLower(b))
	})
}

// distance is the Levenshtein distance.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(row[j]+1, row[j+1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

const envPrefix = "MIXDOWN_"

// notOurs are variables of the same family that other commands read.
var notOurs = []string{"MIXDOWN_SERVER", "MIXDOWN_KEY", "MIXDOWN_CONFIG", "MIXDOWN_TOOLS"}

// fromEnvironment sets what MIXDOWN_… variables say: MIXDOWN_LOG_LEVEL is
// log.level, MIXDOWN_STORAGES_ARCHIVE_SECRET_KEY is storages.archive.secretKey.
func fromEnvironment(environ []string, c *Config) error {
	var errs []error
	for _, entry := range environ {
		name, value, ok := strings.Cut(entry, "=")
		if !ok || !strings.HasPrefix(name, envPrefix) || slices.Contains(notOurs, name) {
			continue
		}
		if err := setVariable(c, name, value); err != nil {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}

func setVariable(c *Config, name, value string) error {
	rest := strings.TrimPrefix(name, envPrefix)
	root := reflect.ValueOf(c).Elem()
	for i := range root.NumField() {
		entries := root.Type().Field(i).Tag.Get("yaml")
		if after, ok := strings.CutPrefix(rest, variableName(entries)+"_"); ok && root.Field(i).Kind() == reflect.Map {
			return setEntry(root.Field(i), entries, name, after, value)
		}
	}
	known := map[string]reflect.Value{}
	collect(reflect.ValueOf(c).Elem(), "", known)
	v, ok := known[rest]
	if !ok {
		names := []string{}
		for k := range known {
			names = append(names, envPrefix+k)
		}
		slices.Sort(names)
		return fmt.Errorf("%s is not known; did you mean %s?", name, nearest(name, names))
	}
	return set(v, name, value)
}

// setEntry sets a key of an entry of storages or webhooks: rest is the entry's
// name, _, and the key.
func setEntry(entries reflect.Value, kind, name, rest, value string) error {
	e := reflect.New(entries.Type().Elem()).Elem()
	fields := map[string]reflect.Value{}
	collect(e, "", fields)
	for key := range fields {
		entry, ok := strings.CutSuffix(rest, "_"+key)
		if !ok {
			continue
		}
		entry = strings.ToLower(strings.ReplaceAll(entry, "_", "-"))
		if old := entries.MapIndex(reflect.ValueOf(entry)); old.IsValid() {
			e.Set(old)
		}
		if err := set(fields[key], name, value); err != nil {
			return err
		}
		if entries.IsNil() {
			entries.Set(reflect.MakeMap(entries.Type()))
		}
		entries.SetMapIndex(reflect.ValueOf(entry), e)
		return nil
	}
	return fmt.Errorf("%s is not known; an entry of %s has the keys %s", name, kind, strings.Join(keysOf(e.Type()), ", "))
}

// collect finds every scalar below v by the name of its variable.
func collect(v reflect.Value, prefix string, into map[string]reflect.Value) {
	for i := range v.NumField() {
		name := prefix + variableName(v.Type().Field(i).Tag.Get("yaml"))
		switch f := v.Field(i); f.Kind() {
		case reflect.Struct:
			collect(f, name+"_", into)
		case reflect.Map:
		default:
			into[name] = f
		}
	}
}

// variableName turns secretKey into SECRET_KEY.
func variableName(key string) string {
	var b strings.Builder
	for i, r := range key {
		if unicode.IsUpper(r) && i > 0 && unicode.IsLower(rune(key[i-1])) {
			b.WriteByte('_')
		}
		b.WriteRune(unicode.ToUpper(r))
	}
	return b.String()
}

func set(v reflect.Value, name, value string) error {
	switch v.Kind() {
	case reflect.String:
		v.SetString(value)
	case reflect.Bool:
		b, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("%s: %q is not true or false", name, value)
		}
		v.SetBool(b)
	case reflect.Slice: // of strings
		list := []string{}
		for s := range strings.SplitSeq(value, ",") {
			if s = strings.TrimSpace(s); s != "" {
				list = append(list, s)
			}
		}
		v.Set(reflect.ValueOf(list))
	case reflect.Uint32:
		n, err := strconv.ParseUint(value, 10, 32)
		if err != nil {
			return fmt.Errorf("%s: %q is not a number from 0 to 4294967295", name, value)
		}
		v.SetUint(n)
	case reflect.Int:
		n, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("%s: %q is not a whole number", name, value)
		}
		v.SetInt(int64(n))
	case reflect.Float64:
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return fmt.Errorf("%s: %q is not a number", name, value)
		}
		v.SetFloat(n)
	case reflect.Int64: // time.Duration is the only one
		d, err := time.ParseDuration(value)
		if err != nil {
			return fmt.Errorf("%s: %q is not a time like 90s or 10m", name, value)
		}
		v.SetInt(int64(d))
	default:
		panic("configs: no variable for a " + v.Kind().String())
	}
	return nil
}
