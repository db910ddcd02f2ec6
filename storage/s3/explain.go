package s3

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/minio/minio-go/v7"

	"mixdown/storage"
)

// advice says what an error code of S3 means, and what an operator can do
// about it. All of them are permanent.
var advice = map[string]struct {
	code storage.FailureCode
	text string
}{
	minio.NoSuchBucket:                 {storage.NoBucket, "the bucket does not exist: create it, or correct its name"},
	minio.AccessDenied:                 {storage.AccessDenied, "access is denied: give the access key s3:GetObject, s3:PutObject and s3:ListBucket, to dispose of recordings also s3:DeleteObjectVersion and s3:ListBucketVersions, to lock them s3:PutObjectRetention, s3:GetObjectRetention and s3:GetBucketObjectLockConfiguration"},
	minio.InvalidAccessKeyID:           {storage.WrongKey, "the server does not know the access key: correct it"},
	"XAdminUserNotFound":               {storage.WrongKey, "the server does not know the access key: correct it"}, // versitygw
	minio.SignatureDoesNotMatch:        {storage.WrongKey, "the secret key does not belong to the access key: correct it"},
	minio.InvalidBucketName:            {storage.NoBucket, "the bucket's name breaks the rules: correct it"},
	minio.AuthorizationHeaderMalformed: {storage.WrongRegion, "the region is probably wrong: correct it"},
	minio.InvalidRegion:                {storage.WrongRegion, "the region is wrong: correct it"},
	minio.RequestTimeTooSkewed:         {storage.ClockSkew, "this machine's clock is off by more than 15 minutes: set it"},
	minio.EntityTooLarge:               {storage.Refused, "the object is too large for one PUT: make segments shorter"},
	minio.AllAccessDisabled:            {storage.AccessDenied, "all access to the bucket is disabled: ask its owner"},
	minio.MethodNotAllowed:             {storage.Unsupported, "the server refuses the method: the endpoint is probably no S3 server, or its path style is wrong"},
	minio.NotImplemented:               {storage.Unsupported, "the server does not know conditional writes or checksums: use one that does"},
	"PermanentRedirect":                {storage.WrongRegion, "the bucket lives at another endpoint or region: correct it"},
	"AccountProblem":                   {storage.AccessDenied, "the account has a problem: ask the provider"},
	"ExpiredToken":                     {storage.WrongKey, "the keys have expired: renew them"},
	"QuotaExceeded":                    {storage.NoSpace, "the bucket's quota is used up: enlarge it"},
}

// explain names what was being done, where, and what to do about it. It never
// holds a key: S3 errors carry none but the access key's id, which is left out.
func (b *Bucket) explain(what, key string, err error) error {
	if err == nil {
		return nil
	}
	where := fmt.Sprintf("%s %s, bucket %s at %s", what, key, b.bucket, b.endpoint)
	var response minio.ErrorResponse
	if !errors.As(err, &response) {
		return fmt.Errorf("%s: %w", where, err)
	}
	known, permanent := advice[response.Code]
	fail := func(code storage.FailureCode, err error) error { return &storage.Failure{Code: code, Err: err} }
	switch {
	case response.Code == minio.NoSuchKey:
		return fmt.Errorf("%s: %w", where, fs.ErrNotExist)
	case permanent:
		return fail(known.code, fmt.Errorf("%s: %s (%s): %w", where, known.text, response.Code, storage.ErrPermanent))
	case response.StatusCode == http.StatusUnauthorized, response.StatusCode == http.StatusForbidden:
		return fail(storage.AccessDenied, fmt.Errorf("%s: %s (%s): %w", where, advice[minio.AccessDenied].text, response.Code, storage.ErrPermanent))
	case response.StatusCode == http.StatusInsufficientStorage:
		return fail(storage.NoSpace, fmt.Errorf("%s: %s (%s)", where, response.Message, response.Code))
	case response.StatusCode >= 400 && response.StatusCode < 500 && response.StatusCode != http.StatusRequestTimeout && response.StatusCode != http.StatusTooManyRequests:
		return fail(storage.Refused, fmt.Errorf("%s: %s (%s, HTTP %d)", where, response.Message, response.Code, response.StatusCode))
	}
	return fail(storage.Unreachable, fmt.Errorf("%s: %s (%s, HTTP %d)", where, response.Message, response.Code, response.StatusCode))
}
