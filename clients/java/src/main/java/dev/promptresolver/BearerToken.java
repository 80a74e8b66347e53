package dev.promptresolver;

import io.grpc.CallCredentials;
import io.grpc.Metadata;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.concurrent.Executor;
import java.util.function.Supplier;

/** The token that says who calls. One in a file is read for each call, as it may be replaced. */
final class BearerToken extends CallCredentials {
  private static final Metadata.Key<String> AUTHORIZATION = Header.key("authorization");

  private final Supplier<String> source;

  private BearerToken(Supplier<String> source) {
    this.source = source;
  }

  static BearerToken of(String token) {
    return new BearerToken(() -> token);
  }

  static BearerToken ofFile(Path file) throws IOException {
    return new BearerToken(new TokenFile(file));
  }

  @Override
  public void applyRequestMetadata(RequestInfo call, Executor executor, MetadataApplier applier) {
    // gRPC asks on a thread that must not wait for a disk.
    executor.execute(
        () -> {
          var headers = new Metadata();
          headers.put(AUTHORIZATION, "Bearer " + source.get());
          applier.apply(headers);
        });
  }

  /** The token of a file, as it was last read well. */
  private static final class TokenFile implements Supplier<String> {
    private final Path file;
    private volatile String last;

    TokenFile(Path file) throws IOException {
      this.file = file;
      this.last = read();
      if (last.isEmpty()) {
        throw new IllegalArgumentException("expected a token in " + file + ", which is empty");
      }
      if (!Header.isPrintable(last)) {
        throw new IllegalArgumentException("expected a token of printable ASCII in " + file);
      }
    }

    @Override
    public String get() {
      try {
        var token = read();
        if (!token.isEmpty() && Header.isPrintable(token)) {
          last = token;
        }
      } catch (IOException replaced) {
        // While a file is being replaced, the last token stays.
      }
      return last;
    }

    private String read() throws IOException {
      return Files.readString(file).strip();
    }
  }
}
