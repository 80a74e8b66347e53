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
import java.time.Duration;
import java.util.Objects;
import java.util.concurrent.TimeUnit;

/** What a {@link PromptResolverClient} is made with. Everything has a default. */
public final class ClientBuilder {
  private static final long KEEPALIVE_S = 30;

  private String address = Address.find(System.getenv());
  private CallCredentials token;
  private boolean secure;
  private Path caFile;
  private Path certificateFile;
  private Path keyFile;
  private String serverName;
  private Duration resolveTimeout = Duration.ofSeconds(10);
  private Duration completeTimeout = Duration.ofSeconds(120);

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

  /** Says who calls, by a bearer token. */
  public ClientBuilder token(String token) {
    this.token = BearerToken.of(Objects.requireNonNull(token, "token"));
    return this;
  }

  /** Says who calls, by a bearer token in a file, which is read for each call. */
  public ClientBuilder tokenFile(Path file) {
    this.token = BearerToken.ofFile(Objects.requireNonNull(file, "file"));
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

  /** Makes the connection secure, and says who calls by a certificate: PEM files. */
  public ClientBuilder certificate(Path certificateFile, Path keyFile) {
    this.certificateFile = Objects.requireNonNull(certificateFile, "certificateFile");
    this.keyFile = Objects.requireNonNull(keyFile, "keyFile");
    return tls();
  }

  /** Names the server that the certificate must be of, where the address does not. */
  public ClientBuilder serverName(String name) {
    this.serverName = Objects.requireNonNull(name, "name");
    return this;
  }

  /** Says how long {@code resolve} may take where its options do not: by default 10 s. */
  public ClientBuilder resolveTimeout(Duration timeout) {
    this.resolveTimeout = Objects.requireNonNull(timeout, "timeout");
    return this;
  }

  /** Says how long completions may take where their options do not: by default 120 s. */
  public ClientBuilder completeTimeout(Duration timeout) {
    this.completeTimeout = Objects.requireNonNull(timeout, "timeout");
    return this;
  }

  /**
   * Returns the client. It connects when it is first called.
   *
   * @throws UncheckedIOException where a file of the certificates cannot be read
   * @throws IllegalArgumentException where one is not PEM, or the address is none
   */
  public PromptResolverClient build() {
    var builder =
        Grpc.newChannelBuilder(address, credentials())
            .defaultServiceConfig(ServiceConfig.VALUE)
            .keepAliveTime(KEEPALIVE_S, TimeUnit.SECONDS);
    if (serverName != null) {
      builder.overrideAuthority(serverName);
    }
    if (Address.isBeside(address)) {
      builder.proxyDetector(server -> null);
    }
    var channel = builder.build();
    Reconnection.keepUp(channel);
    return new PromptResolverClient(channel, resolveTimeout, completeTimeout);
  }

  private ChannelCredentials credentials() {
    var connection = secure ? tlsCredentials() : InsecureChannelCredentials.create();
    return token == null ? connection : CompositeChannelCredentials.create(connection, token);
  }

  private ChannelCredentials tlsCredentials() {
    var tls = TlsChannelCredentials.newBuilder();
    try {
      if (caFile != null) {
        tls.trustManager(caFile.toFile());
      }
      if (certificateFile != null) {
        tls.keyManager(certificateFile.toFile(), keyFile.toFile());
      }
    } catch (IOException unreadable) {
      throw new UncheckedIOException(unreadable);
    }
    return tls.build();
  }
}
