package dev.promptresolver;

import static org.junit.jupiter.api.Assertions.assertArrayEquals;
import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.ByteArrayInputStream;
import java.io.ByteArrayOutputStream;
import java.io.IOException;
import java.io.ObjectInputStream;
import java.io.ObjectOutputStream;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;

@DisplayName("An error")
final class PromptResolverExceptionTest {
  @Test
  @DisplayName("tells the reason, and when to come again")
  void details() {
    var details =
        com.google.rpc.Status.newBuilder()
            .addDetails(
                Any.pack(
                    ErrorInfo.newBuilder()
                        .setReason("OVERLOADED")
                        .setDomain("prompt-resolver")
                        .putMetadata("class", "resolve")
                        .build()))
            .addDetails(
                Any.pack(
                    RetryInfo.newBuilder()
                        .setRetryDelay(
                            com.google.protobuf.Duration.newBuilder().setNanos(250_000_000))
                        .build()))
            .build();
    var failure = PromptResolverException.of(fail(details.toByteArray()));

    assertEquals("OVERLOADED: busy", failure.getMessage());
    assertEquals("prompt-resolver", failure.getDomain());
    assertEquals(Map.of("class", "resolve"), failure.getMetadata());
    assertEquals(Optional.of(Duration.ofMillis(250)), failure.getRetryAfter());
    assertEquals(List.of(), failure.getViolations());
  }

  @Test
  @DisplayName("whose details are garbled tells its code still")
  void garbled() {
    var failure = PromptResolverException.of(fail(new byte[] {1, 2, 3}));

    assertEquals(Status.Code.RESOURCE_EXHAUSTED, failure.getCode());
    assertEquals("RESOURCE_EXHAUSTED: busy", failure.getMessage());
    assertEquals("", failure.getReason());
    assertEquals(Optional.empty(), failure.getRetryAfter());
  }

  @Test
  @DisplayName("travels as other exceptions do")
  void serialized() throws Exception {
    var failure = travel(PromptResolverException.ofIncompleteStream());

    assertEquals(Status.Code.INTERNAL, failure.getCode());
    assertEquals("STREAM_INCOMPLETE", failure.getReason());
  }

  @Test
  @DisplayName("of gRPC travels without its cause, which cannot, and with all that it tells")
  void serializedOfGrpc() throws Exception {
    var made = PromptResolverException.of(Status.UNAVAILABLE.withDescription("gone").asException());
    var failure = travel(made);

    assertEquals("UNAVAILABLE: gone", failure.getMessage());
    assertEquals(Status.Code.UNAVAILABLE, failure.getCode());
    assertEquals("gone", failure.getDescription());
    assertArrayEquals(made.getStackTrace(), failure.getStackTrace());
    assertNull(failure.getCause());
  }

  private static PromptResolverException travel(PromptResolverException failure)
      throws IOException, ClassNotFoundException {
    var written = new ByteArrayOutputStream();
    try (var output = new ObjectOutputStream(written)) {
      output.writeObject(failure);
    }
    var input = new ObjectInputStream(new ByteArrayInputStream(written.toByteArray()));
    return (PromptResolverException) input.readObject();
  }

  private static StatusRuntimeException fail(byte[] details) {
    var trailers = new Metadata();
    trailers.put(
        Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER), details);
    return Status.RESOURCE_EXHAUSTED.withDescription("busy").asRuntimeException(trailers);
  }
}
