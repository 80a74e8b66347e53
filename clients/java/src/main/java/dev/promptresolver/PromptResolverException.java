package dev.promptresolver;

import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import com.google.rpc.BadRequest;
import com.google.rpc.BadRequest.FieldViolation;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Metadata;
import io.grpc.Status;
import java.io.Serial;
import java.nio.channels.ClosedChannelException;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * A call that failed. The message tells the reason, or the code where there is none, and why.
 *
 * <p>Serialized, it has no cause.
 */
public final class PromptResolverException extends RuntimeException {
  @Serial private static final long serialVersionUID = 1L;

  static final Metadata.Key<byte[]> DETAILS =
      Metadata.Key.of("grpc-status-details-bin", Metadata.BINARY_BYTE_MARSHALLER);

  private final Status.Code code;
  private final String description;
  private final ErrorInfo info;
  private final BadRequest request;
  private final RetryInfo retry;

  private PromptResolverException(
      Status status, com.google.rpc.Status details, ErrorInfo info, Throwable cause) {
    super(
        (info.getReason().isEmpty() ? status.getCode().name() : info.getReason())
            + ": "
            + describe(status),
        cause);
    this.code = status.getCode();
    this.description = describe(status);
    this.info = info;
    this.request = find(details, BadRequest.class).orElse(BadRequest.getDefaultInstance());
    this.retry = find(details, RetryInfo.class).orElse(RetryInfo.getDefaultInstance());
  }

  private PromptResolverException(PromptResolverException other) {
    super(other.getMessage(), null);
    this.code = other.code;
    this.description = other.description;
    this.info = other.info;
    this.request = other.request;
    this.retry = other.retry;
  }

  /** Returns what gRPC threw as this client throws it: for calls that {@code channel()} makes. */
  public static PromptResolverException of(Throwable failure) {
    var details = readDetails(Status.trailersFromThrowable(failure));
    var info = find(details, ErrorInfo.class).orElse(ErrorInfo.getDefaultInstance());
    return new PromptResolverException(readStatus(failure), details, info, failure);
  }

  /** Returns the failure of a stream that ended well, and yet before its answer did. */
  static PromptResolverException ofIncompleteStream() {
    var status =
        Status.INTERNAL.withDescription(
            "the stream ended without `finished`: the answer is not whole");
    var info =
        ErrorInfo.newBuilder().setReason("STREAM_INCOMPLETE").setDomain("prompt-resolver").build();
    return new PromptResolverException(
        status, com.google.rpc.Status.getDefaultInstance(), info, null);
  }

  /** Returns gRPC's code. */
  public Status.Code getCode() {
    return code;
  }

  /** Returns what the status tells for people. May be empty, and may change. */
  public String getDescription() {
    return description;
  }

  /**
   * Returns a value of the contract's {@code ErrorReason} without its prefix, such as {@code
   * VARIABLES_INVALID}.
   *
   * <p>{@code STREAM_INCOMPLETE} is this client's own: the answer ended before it was whole. Empty
   * where the status is of gRPC itself, as for a server that cannot be reached.
   */
  public String getReason() {
    return info.getReason();
  }

  /** Returns whose reason it is: {@code prompt-resolver}, or empty where there is none. */
  public String getDomain() {
    return info.getDomain();
  }

  /** Returns the particulars that the contract documents for the reason. */
  public Map<String, String> getMetadata() {
    return info.getMetadataMap();
  }

  /** Returns the fields of the request that are at fault. */
  public List<FieldViolation> getViolations() {
    return request.getFieldViolationsList();
  }

  /** Returns how long to wait before the call is worth a repeat, where the server knows. */
  public Optional<Duration> getRetryAfter() {
    if (!retry.hasRetryDelay()) {
      return Optional.empty();
    }
    var delay = retry.getRetryDelay();
    return Optional.of(Duration.ofSeconds(delay.getSeconds(), delay.getNanos()));
  }

  /** Returns what is written of this: all but the cause, as gRPC's errors cannot be written. */
  @Serial
  private Object writeReplace() {
    var written = new PromptResolverException(this);
    written.setStackTrace(getStackTrace());
    return written;
  }

  private static String describe(Status status) {
    return status.getDescription() == null ? "" : status.getDescription();
  }

  /** Returns UNAVAILABLE for a connection that broke as a call was sent: gRPC tells UNKNOWN. */
  private static Status readStatus(Throwable failure) {
    var status = Status.fromThrowable(failure);
    return status.getCode() == Status.Code.UNKNOWN
            && status.getCause() instanceof ClosedChannelException closed
        ? Status.UNAVAILABLE.withDescription(status.getDescription()).withCause(closed)
        : status;
  }

  private static com.google.rpc.Status readDetails(Metadata trailers) {
    var packed = trailers == null ? null : trailers.get(DETAILS);
    try {
      return packed == null
          ? com.google.rpc.Status.getDefaultInstance()
          : com.google.rpc.Status.parseFrom(packed);
    } catch (InvalidProtocolBufferException garbled) {
      return com.google.rpc.Status.getDefaultInstance();
    }
  }

  private static <T extends Message> Optional<T> find(
      com.google.rpc.Status details, Class<T> kind) {
    for (var detail : details.getDetailsList()) {
      if (detail.is(kind)) {
        try {
          return Optional.of(detail.unpack(kind));
        } catch (InvalidProtocolBufferException garbled) {
          return Optional.empty();
        }
      }
    }
    return Optional.empty();
  }
}
