package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.promptresolver.v1.PromptResolverGrpc.PromptResolverImplBase;
import dev.promptresolver.v1.ResolveRequest;
import dev.promptresolver.v1.ResolveResponse;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.api.io.TempDir;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.ValueSource;

@DisplayName("What says who calls, or who pays")
@Timeout(60)
final class HeaderTest {
  @TempDir Path folder;

  private Server server;

  @BeforeEach
  void begin() throws IOException {
    server =
        NettyServerBuilder.forAddress(new InetSocketAddress("127.0.0.1", 0))
            .addService(new Echo())
            .intercept(new Reader())
            .build()
            .start();
  }

  @AfterEach
  void end() {
    server.shutdownNow();
  }

  @ParameterizedTest
  @ValueSource(strings = {"sk-secret\n", "sk-secret\r\nx: y", "sk-sécret", "sk\0secret", "sk\177"})
  @DisplayName("is refused where gRPC would leave it out, and is told to nobody")
  void refused(String secret) {
    var key =
        assertThrows(
            IllegalArgumentException.class,
            () -> CallOptions.DEFAULT.withMetadata("X-Provider-Key-Fake", secret));
    var token =
        assertThrows(
            IllegalArgumentException.class, () -> PromptResolverClient.builder().token(secret));

    assertEquals(
        "expected printable ASCII as the value of x-provider-key-fake", key.getMessage());
    assertEquals("expected a token of printable ASCII", token.getMessage());
  }

  @Test
  @DisplayName("has a name that a header may have")
  void names() {
    for (var name : new String[] {"", "x provider", "x-provider\n", "x-provider-bin"}) {
      assertThrows(
          IllegalArgumentException.class, () -> CallOptions.DEFAULT.withMetadata(name, "value"));
    }
  }

  @Test
  @DisplayName("is a file's last token, while the file has none that can be sent")
  void tokenFile() throws IOException {
    var file = Files.writeString(folder.resolve("token"), "first\n");
    try (var client = builder().tokenFile(file).build()) {
      assertEquals("Bearer first", authorization(client));
      for (var none : new String[] {"", "two\nlines\n", "sécret"}) {
        Files.writeString(file, none);
        assertEquals("Bearer first", authorization(client));
      }
      Files.writeString(file, "second\n");
      assertEquals("Bearer second", authorization(client));
    }
  }

  @Test
  @DisplayName("is not made of a file whose token cannot be sent")
  void unsendableFile() throws IOException {
    var file = Files.writeString(folder.resolve("token"), "two\nlines\n");
    var builder = builder().tokenFile(file);

    var failure = assertThrows(IllegalArgumentException.class, builder::build);

    assertFalse(failure.getMessage().contains("lines"), failure.getMessage());
  }

  private ClientBuilder builder() {
    return PromptResolverClient.builder().address("127.0.0.1:" + server.getPort());
  }

  private static String authorization(PromptResolverClient client) {
    return client.resolve(ResolveRequest.getDefaultInstance()).getModel();
  }

  /** Reads who calls. */
  private static final class Reader implements ServerInterceptor {
    private static final Context.Key<String> AUTHORIZATION = Context.key("authorization");

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
        ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
      var name = Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
      var told = Context.current().withValue(AUTHORIZATION, String.valueOf(headers.get(name)));
      return Contexts.interceptCall(told, call, headers, next);
    }
  }

  /** Answers with who has called. */
  private static final class Echo extends PromptResolverImplBase {
    @Override
    public void resolve(ResolveRequest request, StreamObserver<ResolveResponse> caller) {
      caller.onNext(ResolveResponse.newBuilder().setModel(Reader.AUTHORIZATION.get()).build());
      caller.onCompleted();
    }
  }
}
