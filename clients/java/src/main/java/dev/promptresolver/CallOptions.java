package dev.promptresolver;

import java.time.Duration;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;

/**
 * What may be said of one call: how long it may take, and what travels beside its request.
 *
 * <p>Immutable: each {@code with…} returns other options.
 */
public final class CallOptions {
  /** The method's own timeout, and no metadata. */
  public static final CallOptions DEFAULT = new CallOptions(null, Map.of());

  private final Duration timeout;
  private final Map<String, String> metadata;

  private CallOptions(Duration timeout, Map<String, String> metadata) {
    this.timeout = timeout;
    this.metadata = metadata;
  }

  /** Returns options by which the call ends with DEADLINE_EXCEEDED after so long. */
  public CallOptions withTimeout(Duration timeout) {
    return new CallOptions(Objects.requireNonNull(timeout, "timeout"), metadata);
  }

  /**
   * Returns options by which a header travels with the call, such as {@code x-request-id}, {@code
   * traceparent} or {@code x-provider-key-openai}.
   *
   * @param name in any case; a name that was there has its value replaced
   * @param value printable ASCII
   * @throws IllegalArgumentException where the name is none of a header, or the value has other
   *     characters, such as the end of a line that a key was read from
   */
  public CallOptions withMetadata(String name, String value) {
    var key = Header.key(name).name();
    if (!Header.isPrintable(Objects.requireNonNull(value, "value"))) {
      throw new IllegalArgumentException("expected printable ASCII as the value of " + key);
    }
    var more = new LinkedHashMap<>(metadata);
    more.put(key, value);
    return new CallOptions(timeout, Map.copyOf(more));
  }

  Optional<Duration> timeout() {
    return Optional.ofNullable(timeout);
  }

  Map<String, String> metadata() {
    return metadata;
  }
}
