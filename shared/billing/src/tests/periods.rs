//! Periods through the years (§2.1): as the engine renews them, not as the calendar alone computes them.

use super::tenant::*;

/// The ends of the first periods, as dates and hours in the tenant's zone.
fn ends(start: &str, zone_name: &str, count: usize) -> Vec<String> {
    let mut tenant = Tenant::on(offer(Starter, Monthly), start, zone(zone_name));
    let mut ends = Vec::new();
    for _ in 0..count {
        let local = tenant.subscription.period.end.to_zoned(tenant.zone.clone());
        ends.push(local.strftime("%m-%d %H:%M").to_string());
        tenant.close();
    }
    ends
}

#[test]
fn anchored_on_the_31st_periods_return_to_it() {
    assert_eq!(
        ends("2026-01-31", "UTC", 6),
        ["02-28 00:00", "03-31 00:00", "04-30 00:00", "05-31 00:00", "06-30 00:00", "07-31 00:00"]
    );
    assert_eq!(
        ends("2023-12-31", "UTC", 4),
        ["01-31 00:00", "02-29 00:00", "03-31 00:00", "04-30 00:00"]
    );
}

#[test]
fn anchored_on_the_29th_and_30th_only_february_is_clamped() {
    assert_eq!(ends("2027-01-29", "UTC", 3), ["02-28 00:00", "03-29 00:00", "04-29 00:00"]);
    assert_eq!(ends("2028-01-30", "UTC", 3), ["02-29 00:00", "03-30 00:00", "04-30 00:00"]);
}

#[test]
fn a_year_from_a_leap_day_ends_on_the_28th_and_the_fourth_on_the_29th() {
    let mut tenant = Tenant::on(offer(Pro, Yearly), "2028-02-29", zone("UTC"));
    let mut ends = Vec::new();
    for _ in 0..4 {
        ends.push(tenant.subscription.period.end.to_string()[..10].to_owned());
        tenant.close();
    }
    assert_eq!(ends, ["2029-02-28", "2030-02-28", "2031-02-28", "2032-02-29"]);
}

#[test]
fn boundaries_keep_the_local_hour_over_clock_changes() {
    assert_eq!(
        ends("2026-02-15T08:30:00-05:00", "America/New_York", 2),
        ["03-15 08:30", "04-15 08:30"]
    );
    // 02:30 of 8 March does not exist; the first instant after the gap is 03:00, and April has 02:30 again.
    assert_eq!(
        ends("2026-02-08T02:30:00-05:00", "America/New_York", 2),
        ["03-08 03:00", "04-08 02:30"]
    );
}

#[test]
fn half_of_march_in_new_york_is_half_of_743_hours() {
    let start = "2026-03-01T00:00:00-05:00";
    let mut tenant = Tenant::on(offer(Starter, Monthly), start, zone("America/New_York"));
    let period = tenant.subscription.period;
    assert_eq!(period.seconds(), 743 * 3_600);
    // 371.5 hours on: 16 March, 12:30 by clocks that have gone forward.
    let (_, invoice) = tenant.switch(&offer(Pro, Monthly), "2026-03-16T12:30:00-04:00");
    let invoice = invoice.unwrap();
    assert_eq!(amounts(&invoice), [-1_450, 4_950]);
    assert_eq!(invoice.lines[0].detail.split(',').next(), Some("1337400 of 2674800 seconds"));
}

#[test]
fn another_time_zone_moves_no_boundary_that_was_set() {
    let mut tenant =
        Tenant::on(offer(Starter, Monthly), "2026-04-01T00:00:00+09:00", zone("Asia/Tokyo"));
    let end = tenant.subscription.period.end;
    assert_eq!(end, at("2026-05-01T00:00:00+09:00"));
    tenant.zone = zone("America/Los_Angeles");
    let (turn, _) = tenant.close();
    assert_eq!(turn.after.period.start, end, "no hour is billed twice, and none is given away");
    // By the new clocks the anchor was 31 March, 08:00.
    assert_eq!(turn.after.period.end, at("2026-05-31T08:00:00-07:00"));
    let (turn, _) = tenant.close();
    assert_eq!(turn.after.period.start, at("2026-05-31T08:00:00-07:00"));
    assert_eq!(turn.after.period.end, at("2026-06-30T08:00:00-07:00"));
}

#[test]
fn months_missed_are_caught_up_one_by_one_and_in_order() {
    let mut tenant = Tenant::on(offer(Starter, Monthly), "2026-01-31", zone("UTC"));
    let starts: Vec<_> = (0..3)
        .map(|_| {
            let (turn, invoice) = tenant.close();
            assert_eq!(invoice.unwrap().total_minor, 2_900);
            turn.after.period.start.to_string()[..10].to_owned()
        })
        .collect();
    assert_eq!(starts, ["2026-02-28", "2026-03-31", "2026-04-30"]);
}

#[test]
fn pay_as_you_go_is_billed_by_the_calendar_month_of_the_tenants_zone() {
    let free = Tenant::on(offer(Free, Monthly), "2026-03-05", zone("America/New_York"));
    let mut tenant = free;
    let wished = crate::Offer { charges: vec![overage()], ..offer(Starter, PayAsYouGo) };
    tenant.switch(&wished, "2026-03-20T15:00:00Z");
    let period = tenant.subscription.period;
    assert_eq!(period.start, at("2026-03-20T15:00:00Z"));
    assert_eq!(period.end, at("2026-04-01T00:00:00-04:00"));
    tenant.close();
    assert_eq!(tenant.subscription.period.end, at("2026-05-01T00:00:00-04:00"));
}
