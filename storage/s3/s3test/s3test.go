// Package s3test makes buckets on an S3 server of the tests that only an S3
// client can make.
package s3test

import (
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"mixdown/storage/storagetest"
)

// MakeLockingBucket makes a bucket with object lock, which keeps versions.
func MakeLockingBucket(t testing.TB, server storagetest.S3, name string) {
	t.Helper()
	if err := Client(t, server).MakeBucket(t.Context(), name, minio.MakeBucketOptions{ObjectLocking: true}); err != nil {
		t.Fatalf("make bucket %s: %v", name, err)
	}
}

// Client is another program's way to the server, with all permissions.
func Client(t testing.TB, server storagetest.S3) *minio.Client {
	t.Helper()
	c, err := minio.New(server.Endpoint, &minio.Options{
		Creds:  credentials.NewStaticV4(server.AccessKey, server.SecretKey, ""),
		Region: server.Region, BucketLookup: minio.BucketLookupPath, MaxRetries: 1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}
