package promptresolver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// A completion may cost tokens, so it is tried again only where the server tells that it has not begun
// with it: one that is being stopped cancels such calls, and nothing else of it does. The tokens are
// as many as a busy caller may have calls under way when its server stops.
const serviceConfig = `{
	"loadBalancingConfig": [{"round_robin": {}}],
	"methodConfig": [
		{
			"name": [{"service": "prompt_resolver.v1.PromptResolver"}],
			"waitForReady": true,
			"retryPolicy": {
				"maxAttempts": 3,
				"initialBackoff": "0.1s",
				"maxBackoff": "1s",
				"backoffMultiplier": 2,
				"retryableStatusCodes": ["CANCELLED"]
			}
		},
		{
			"name": [{"service": "prompt_resolver.v1.PromptResolver", "method": "Resolve"}],
			"waitForReady": true,
			"retryPolicy": {
				"maxAttempts": 3,
				"initialBackoff": "0.1s",
				"maxBackoff": "1s",
				"backoffMultiplier": 2,
				"retryableStatusCodes": ["UNAVAILABLE", "CANCELLED"]
			}
		}
	],
	"retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1}
}`

// The most that a server may be set to take and to send.
const maxMessageBytes = 64 << 20

// An Option of [New].
type Option func(*settings) error

type settings struct {
	transport credentials.TransportCredentials
	token     credentials.PerRPCCredentials
	dial      []grpc.DialOption
}

// WithToken has every call bring a bearer token: the server's master key, or a caller's.
func WithToken(value string) Option {
	return func(s *settings) error {
		if !isPrintable(value) {
			return errors.New("promptresolver: expected a token of printable ASCII")
		}
		s.token = token(func() string { return value })
		return nil
	}
}

// WithTokenFile has every call bring the token that a file has. It is read again when it changes; a
// file that cannot be read then, or has no token that can be sent, leaves the token as it was.
func WithTokenFile(path string) Option {
	return func(s *settings) error {
		file := &tokenFile{path: path}
		if file.read() == "" {
			return fmt.Errorf("promptresolver: no token can be read from %s", path)
		}
		s.token = token(file.read)
		return nil
	}
}

// TLSFiles names what makes a connection secure, as files with PEM.
type TLSFiles struct {
	// CA has the authorities that may vouch for the server. Without it they are the system's.
	CA string
	// Cert and Key are the client's own, for a server that asks for them. They are read again for each
	// connection.
	Cert, Key string
	// ServerName is the name that the server's certificate has, in place of the address' host.
	ServerName string
}

// WithTLS makes the connection secure.
func WithTLS(files TLSFiles) Option {
	return func(s *settings) error {
		config := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: files.ServerName}
		if files.CA != "" {
			pem, err := os.ReadFile(files.CA)
			if err != nil {
				return fmt.Errorf("promptresolver: %w", err)
			}
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(pem) {
				return fmt.Errorf("promptresolver: no certificate in %s", files.CA)
			}
		}
		if files.Cert != "" || files.Key != "" {
			read := func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
				pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
				return &pair, err
			}
			if _, err := read(nil); err != nil {
				return fmt.Errorf("promptresolver: %w", err)
			}
			config.GetClientCertificate = read
		}
		s.transport = credentials.NewTLS(config)
		return nil
	}
}

// WithDialOptions adds options of gRPC's, such as interceptors. They win over the client's own.
func WithDialOptions(options ...grpc.DialOption) Option {
	return func(s *settings) error {
		s.dial = append(s.dial, options...)
		return nil
	}
}

func defaultDialOptions() []grpc.DialOption {
	return []grpc.DialOption{
		grpc.WithDefaultServiceConfig(serviceConfig),
		grpc.WithChainUnaryInterceptor(checkUnary),
		grpc.WithChainStreamInterceptor(checkStream),
		grpc.WithDefaultCallOptions(
			grpc.MaxCallRecvMsgSize(maxMessageBytes),
			// What has no room there is not tried again.
			grpc.MaxRetryRPCBufferSize(maxMessageBytes),
		),
		grpc.WithKeepaliveParams(keepalive.ClientParameters{Time: 30 * time.Second}),
		// A server that is back is found within a second, however the pause is jittered; unless told
		// otherwise, gRPC looks every two minutes.
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff: backoff.Config{
				BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 700 * time.Millisecond,
			},
			MinConnectTimeout: 5 * time.Second,
		}),
	}
}

func (s *settings) dialOptions() []grpc.DialOption {
	transport := s.transport
	if transport == nil {
		transport = insecure.NewCredentials()
	}
	own := []grpc.DialOption{grpc.WithTransportCredentials(transport)}
	if s.token != nil {
		own = append(own, grpc.WithPerRPCCredentials(s.token))
	}
	return append(own, s.dial...)
}

// token brings what it returns as a bearer token.
type token func() string

func (t token) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return map[string]string{"authorization": "Bearer " + t()}, nil
}

// RequireTransportSecurity says no: a server beside its caller may be called without TLS.
func (token) RequireTransportSecurity() bool {
	return false
}

// tokenFile holds the token of a file, as of its last change.
type tokenFile struct {
	path string

	mu    sync.Mutex
	seen  os.FileInfo
	value string
}

func (f *tokenFile) read() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, err := os.Stat(f.path)
	if err != nil || f.seen != nil && os.SameFile(f.seen, now) &&
		f.seen.ModTime().Equal(now.ModTime()) && f.seen.Size() == now.Size() {
		return f.value
	}
	if text, err := os.ReadFile(f.path); err == nil {
		if value := strings.TrimSpace(string(text)); value != "" && isPrintable(value) {
			f.seen, f.value = now, value
		}
	}
	return f.value
}
