package dev.promptresolver;

import io.grpc.CallCredentials;
import io.grpc.ChannelCredentials;
import io.grpc.CompositeChannelCredentials;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.security.GeneralSecurityException;
import java.util.Objects;
import java.util.concurrent.TimeUnit;

/** What a {@link PromptResolverClient} is made with. Everything has a default. */
public final class ClientBuilder {
  private static final long KEEPALIVE_S = 30;

  /** The most that a server may be set to take and to send. */
  private static final int MAX_MESSAGE_BYTES = 64 * 1024 * 1024;

  private String address = Address.find(System.getenv());
  private String token;
  private Path tokenFile;
  private boolean secure;
  private Path caFile;
  private Path certificateFile;
  private Path keyFile;
  private String serverName;

  ClientBuilder() {}

  /**
   * Says where the service is: {@code HOST:PORT}, {@code unix:/path} (on Linux), or {@code
   * dns:///HOST:PORT} for a name with several addresses, over which calls are spread.
   *
   * <p>By default it is {@code PROMPT_RESOLVER_ADDRESS}, else {@code 127.0.0.1:50051}.
   */
  public ClientBuilder address(String address) {
    this.address = Objects.requireNonNull(address, "address");
    return this;
  }

  /**
   * Says who calls, by a bearer token.
   *
   * @throws IllegalArgumentException where it is not printable ASCII
   */
  public ClientBuilder token(String token) {
    if (!Header.isPrintable(Objects.requireNonNull(token, "token"))) {
      throw new IllegalArgumentException("expected a token of printable ASCII");
    }
    this.token = token;
    return this;
  }

  /**
   * Says who calls, by a bearer token in a file. It is read for each call; while it cannot be, or
   * has no token of one line in printable ASCII, the last token stays.
   */
  public ClientBuilder tokenFile(Path file) {
    this.tokenFile = Objects.requireNonNull(file, "file");
    return this;
  }

  /** Makes the connection secure, with the authorities that Java trusts. */
  public ClientBuilder tls() {
    this.secure = true;
    return this;
  }

  /** Makes the connection secure, with the authorities of a PEM file alone. */
  public ClientBuilder caFile(Path file) {
    this.caFile = Objects.requireNonNull(file, "file");
    return tls();
  }

  /**
   * Makes the connection secure, and says who calls by a certificate: PEM files. Where the key is
   * PKCS#8, both are read again for each connection; else they are read once.
   */
  public ClientBuilder certificate(Path certificateFile, Path keyFile) {
    this.certificateFile = Objects.requireNonNull(certificateFile, "certificateFile");
    this.keyFile = Objects.requireNonNull(keyFile, "keyFile");
    return tls();
  }

  /** Names the server that the certificate must be of, where the address does not. Needs TLS. */
  public ClientBuilder serverName(String name) {
    this.serverName = Objects.requireNonNull(name, "name");
    return this;
  }

  /**
   * Returns the client. It connects when it is first called.
   *
   * @throws UncheckedIOException where a file cannot be read
   * @throws IllegalArgumentException where one has no PEM or no token, or the address is none
   * @throws IllegalStateException where there are both a token and a file for it, or a server's
   *     name without TLS
   */
  public PromptResolverClient build() {
    if (serverName != null && !secure) {
      throw new IllegalStateException(
          "expected TLS beside a server's name: without, there is no certificate to have it");
    }
    var builder =
        Grpc.newChannelBuilder(Address.check(address), credentials())
            .defaultServiceConfig(ServiceConfig.VALUE)
            .maxInboundMessageSize(MAX_MESSAGE_BYTES)
            // What has no room here is not tried again.
            .perRpcBufferLimit(MAX_MESSAGE_BYTES)
            .retryBufferSize(MAX_MESSAGE_BYTES)
            .keepAliveTime(KEEPALIVE_S, TimeUnit.SECONDS);
    if (serverName != null) {
      builder.overrideAuthority(serverName);
    }
    if (Address.isBeside(address)) {
      builder.proxyDetector(server -> null);
    }
    var channel = builder.build();
    Reconnection.keepUp(channel);
    return new PromptResolverClient(channel, address);
  }

  private ChannelCredentials credentials() {
    try {
      var connection = secure ? tlsCredentials() : InsecureChannelCredentials.create();
      var caller = callCredentials();
      return caller == null ? connection : CompositeChannelCredentials.create(connection, caller);
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
  }

  private CallCredentials callCredentials() throws IOException {
    if (token != null && tokenFile != null) {
      throw new IllegalStateException("expected a token or a file for it, got both");
    }
    if (tokenFile != null) {
      return BearerToken.ofFile(tokenFile);
    }
    return token == null ? null : BearerToken.of(token);
  }

  private ChannelCredentials tlsCredentials() throws IOException {
    var tls = TlsChannelCredentials.newBuilder();
    if (caFile != null) {
      tls.trustManager(caFile.toFile());
    }
    if (certificateFile != null) {
      try {
        tls.keyManager(new CertificateFiles(certificateFile, keyFile));
      } catch (GeneralSecurityException | IllegalArgumentException unknownForm) {
        // Netty knows more forms of keys than PKCS#8, and tells what is wrong with others.
        tls.keyManager(certificateFile.toFile(), keyFile.toFile());
      }
    }
    return tls.build();
  }
}
