// Package s3 is a bucket on any server that speaks S3.
//
// It stands below storage as one of the ends of the line and is the only
// package that knows minio-go. One object is one PUT of known size with its
// SHA-256 in x-amz-checksum-sha256, which the server checks, and with
// If-None-Match: * unless it may be replaced; there is no multipart upload,
// because its checksum is not the object's. It does not retry: that is the
// uploader's business, which waits longer and never gives up.
package s3

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"mixdown/storage"
)

// Config says where the bucket is and who may write to it.
type Config struct {
	Endpoint  string // host, host:port or URL; http:// turns TLS off
	Region    string // "" is us-east-1
	Bucket    string
	Prefix    string // before every key, without slashes at the ends; may be ""
	AccessKey string
	SecretKey string
	PathStyle bool              // bucket in the path, not in the host name: most servers but Amazon's
	TLS       bool              // for an Endpoint without a scheme
	Transport http.RoundTripper // nil is minio-go's default; for own certificates
	Dial      Dial              // makes the default transport's connections; nil is the net package's way
}

// Dial makes a connection, as [net.Dialer.DialContext] does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Bucket is a bucket, or a part of one below a prefix. It is a
// [storage.Bucket], a [storage.Browser], a [storage.Deleter] and a
// [storage.Locker].
type Bucket struct {
	client   *minio.Client
	clock    *dated
	cutOff   cutOff
	endpoint string
	bucket   string
	prefix   string
}

// New prepares access to a bucket. It does not talk to the server: a bucket
// that does not answer now may do so later.
func New(c Config) (*Bucket, error) {
	host, secure, err := splitEndpoint(c.Endpoint, c.TLS)
	if err != nil {
		return nil, err
	}
	if c.Bucket == "" || c.AccessKey == "" || c.SecretKey == "" {
		return nil, fmt.Errorf("S3 at %s: bucket, access key and secret key must be set", host)
	}
	if c.Region == "" {
		c.Region = "us-east-1" // asking the server would need a permission more
	}
	lookup := minio.BucketLookupAuto
	if c.PathStyle {
		lookup = minio.BucketLookupPath
	}
	transport := c.Transport
	if transport == nil {
		own, err := minio.DefaultTransport(secure)
		if err != nil {
			return nil, fmt.Errorf("S3 at %s: %w", host, err)
		}
		if c.Dial != nil {
			own.DialContext = c.Dial
		}
		transport = own
	}
	clock := &dated{RoundTripper: transport}
	client, err := minio.New(host, &minio.Options{
		Creds:           credentials.NewStaticV4(c.AccessKey, c.SecretKey, ""),
		Secure:          secure,
		Region:          c.Region,
		BucketLookup:    lookup,
		Transport:       lenient{clock},
		TrailingHeaders: true, // minio-go takes a checksum of ours only so
		MaxRetries:      1,
	})
	if err != nil {
		return nil, fmt.Errorf("S3 at %s: %w", host, err)
	}
	b := &Bucket{client: client, clock: clock, endpoint: client.EndpointURL().String(), bucket: c.Bucket}
	if p := strings.Trim(c.Prefix, "/"); p != "" {
		if !fs.ValidPath(p) {
			return nil, fmt.Errorf("S3 at %s: prefix %q is not of the form a/b", host, c.Prefix)
		}
		b.prefix = p + "/"
	}
	return b, nil
}

func splitEndpoint(endpoint string, tls bool) (host string, secure bool, err error) {
	if !strings.Contains(endpoint, "://") {
		endpoint = map[bool]string{true: "https://", false: "http://"}[tls] + endpoint
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.Scheme != "http" && u.Scheme != "https" {
		return "", false, errors.New("S3 endpoint must be of the form host:port or https://host:port")
	}
	return u.Host, u.Scheme == "https", nil
}

// Put stores an object. If the server holds one of this key already and o
// does not say Replace, the same content is success, another ErrConflict.
func (b *Bucket) Put(ctx context.Context, key string, r io.ReadSeeker, o storage.PutOptions) error {
	if err := checkKey(key); err != nil {
		return err
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("rewind %s: %w", key, err)
	}
	if done, err := b.decided(ctx, key, o); done {
		return err
	}
	options := minio.PutObjectOptions{
		ContentType:      o.ContentType,
		DisableMultipart: true,
		UserMetadata:     map[string]string{"x-amz-checksum-sha256": base64.StdEncoding.EncodeToString(o.SHA256[:])},
	}
	if !o.Replace {
		options.SetMatchETagExcept("*")
	}
	if o.Lock.Mode != storage.Unlocked {
		options.Mode, options.RetainUntilDate = retentionMode(o.Lock.Mode), o.Lock.Until
	}
	// The wrapper hides Close, which minio-go would call.
	body := struct{ io.ReadSeeker }{r}
	_, err := b.client.PutObject(ctx, b.bucket, b.prefix+key, body, o.Size, options)
	b.cutOff.note(key, err)
	switch status := minio.ToErrorResponse(err).StatusCode; {
	case status == http.StatusPreconditionFailed:
		return b.compare(ctx, key, o)
	case status == http.StatusBadRequest && o.Lock.Mode != storage.Unlocked:
		if cannot := b.CanLock(ctx, o.Lock.Mode); errors.Is(cannot, storage.ErrNoLock) {
			return fmt.Errorf("put %s: %w: %w", key, cannot, storage.ErrPermanent)
		}
	}
	return b.explain("put", key, err)
}

// compare decides what it means that an object of this key exists: an earlier
// attempt whose answer was lost, or somebody else's.
func (b *Bucket) compare(ctx context.Context, key string, o storage.PutOptions) error {
	got, err := b.Stat(ctx, key)
	if err != nil {
		return err
	}
	if got.Size == o.Size && got.SHA256 != o.SHA256 {
		// A server that keeps no checksums, or an answer that was spoiled on its
		// way: a conflict needs an operator, so the object itself has the last word.
		if got.SHA256, err = b.download(ctx, key); err != nil {
			return err
		}
	}
	if got.Size != o.Size || got.SHA256 != o.SHA256 {
		return fmt.Errorf("put %s into bucket %s at %s: %w", key, b.bucket, b.endpoint, storage.ErrConflict)
	}
	return nil
}

func (b *Bucket) download(ctx context.Context, key string) (sum [32]byte, err error) {
	f, _, err := b.Open(ctx, key)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return sum, b.explain("read", key, err)
	}
	return [32]byte(h.Sum(nil)), nil
}

// Stat asks the server for size and checksum. The hash is zero if the server
// keeps none.
func (b *Bucket) Stat(ctx context.Context, key string) (storage.Object, error) {
	if err := checkKey(key); err != nil {
		return storage.Object{}, err
	}
	o, err := b.client.StatObject(ctx, b.bucket, b.prefix+key, minio.StatObjectOptions{Checksum: true})
	if err != nil {
		return storage.Object{}, b.explain("stat", key, err)
	}
	return b.object(o), nil
}

// Open opens an object for reading. Parts are fetched as they are read.
func (b *Bucket) Open(ctx context.Context, key string) (io.ReadSeekCloser, storage.Object, error) {
	if err := checkKey(key); err != nil {
		return nil, storage.Object{}, err
	}
	f, err := b.client.GetObject(ctx, b.bucket, b.prefix+key, minio.GetObjectOptions{})
	if err != nil {
		return nil, storage.Object{}, b.explain("open", key, err)
	}
	o, err := f.Stat() // the request is made only here
	if err != nil {
		f.Close()
		return nil, storage.Object{}, b.explain("open", key, err)
	}
	o.Key = b.prefix + key
	return f, b.object(o), nil
}

// List yields the objects whose keys start with prefix, in the order of their
// bytes, without hashes.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Object, error] {
	return func(yield func(storage.Object, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		options := minio.ListObjectsOptions{Prefix: b.prefix + prefix, Recursive: true}
		for o := range b.client.ListObjectsIter(ctx, b.bucket, options) {
			if o.Err != nil {
				yield(storage.Object{}, b.explain("list", prefix, o.Err))
				return
			}
			if strings.HasSuffix(o.Key, "/") {
				continue // a folder that some tool made
			}
			if !yield(b.object(o), nil) {
				return
			}
		}
	}
}

func (b *Bucket) object(o minio.ObjectInfo) storage.Object {
	object := storage.Object{Key: strings.TrimPrefix(o.Key, b.prefix), Size: o.Size, ModTime: o.LastModified}
	// A composite checksum (base64-N) is not the object's.
	if sum, err := base64.StdEncoding.DecodeString(o.ChecksumSHA256); err == nil && len(sum) == sha256.Size {
		object.SHA256 = [32]byte(sum)
	}
	return object
}

func checkKey(key string) error {
	if !fs.ValidPath(key) || key == "." || strings.ContainsAny(key, "\x00\\") {
		return fmt.Errorf("key %q: %w", key, fs.ErrInvalid)
	}
	return nil
}
