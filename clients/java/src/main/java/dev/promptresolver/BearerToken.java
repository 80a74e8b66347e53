package dev.promptresolver;

import io.grpc.CallCredentials;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executor;

/** The token that says who calls. One in a file is read for each call, as it may be replaced. */
final class BearerToken extends CallCredentials {
  private static final Metadata.Key<String> AUTHORIZATION =
      Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

  private final Source source;

  private BearerToken(Source source) {
    this.source = source;
  }

  static BearerToken of(String token) {
    return new BearerToken(() -> token);
  }

  static BearerToken ofFile(Path file) {
    return new BearerToken(() -> Files.readString(file).strip());
  }

  @Override
  public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
    // gRPC asks on a thread that must not wait for a disk.
    executor.execute(() -> apply(applier));
  }

  private void apply(MetadataApplier applier) {
    try {
      var headers = new Metadata();
      headers.put(AUTHORIZATION, "Bearer " + source.read());
      applier.apply(headers);
    } catch (IOException unreadable) {
      applier.fail(Status.UNAUTHENTICATED.withDescription("the token's file cannot be read"));
    }
  }

  @FunctionalInterface
  private interface Source {
    String read() throws IOException;
  }
}
