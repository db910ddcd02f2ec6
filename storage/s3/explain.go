package s3

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"

	"github.com/minio/minio-go/v7"

	"mixdown/storage"
)

// advice says what an operator can do about an error code of S3. All of them
// are permanent.
var advice = map[string]string{
	minio.NoSuchBucket:                 "the bucket does not exist: create it, or correct its name",
	minio.AccessDenied:                 "access is denied: give the access key s3:GetObject, s3:PutObject and s3:ListBucket, to dispose of recordings also s3:DeleteObjectVersion and s3:ListBucketVersions, to lock them s3:PutObjectRetention, s3:GetObjectRetention and s3:GetBucketObjectLockConfiguration",
	minio.InvalidAccessKeyID:           "the server does not know the access key: correct it",
	"XAdminUserNotFound":               "the server does not know the access key: correct it", // versitygw
	minio.SignatureDoesNotMatch:        "the secret key does not belong to the access key: correct it",
	minio.InvalidBucketName:            "the bucket's name breaks the rules: correct it",
	minio.AuthorizationHeaderMalformed: "the region is probably wrong: correct it",
	minio.InvalidRegion:                "the region is wrong: correct it",
	minio.RequestTimeTooSkewed:         "this machine's clock is off by more than 15 minutes: set it",
	minio.EntityTooLarge:               "the object is too large for one PUT: make segments shorter",
	minio.AllAccessDisabled:            "all access to the bucket is disabled: ask its owner",
	minio.MethodNotAllowed:             "the server refuses the method: the endpoint is probably no S3 server, or its path style is wrong",
	minio.NotImplemented:               "the server does not know conditional writes or checksums: use one that does",
	"PermanentRedirect":                "the bucket lives at another endpoint or region: correct it",
	"AccountProblem":                   "the account has a problem: ask the provider",
	"ExpiredToken":                     "the keys have expired: renew them",
	"QuotaExceeded":                    "the bucket's quota is used up: enlarge it",
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
	text, permanent := advice[response.Code]
	switch {
	case response.Code == minio.NoSuchKey:
		return fmt.Errorf("%s: %w", where, fs.ErrNotExist)
	case permanent:
		return fmt.Errorf("%s: %s (%s): %w", where, text, response.Code, storage.ErrPermanent)
	case response.StatusCode == http.StatusUnauthorized, response.StatusCode == http.StatusForbidden:
		return fmt.Errorf("%s: %s (%s): %w", where, advice[minio.AccessDenied], response.Code, storage.ErrPermanent)
	}
	return fmt.Errorf("%s: %s (%s, HTTP %d)", where, response.Message, response.Code, response.StatusCode)
}
